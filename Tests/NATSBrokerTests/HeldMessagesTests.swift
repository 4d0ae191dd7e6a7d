import NIOCore
import Testing

@testable import NATSBroker

@Suite("What comes in while a channel's place is not known")
struct HeldMessagesTests {
    private func held(_ numbers: [UInt64]) -> [UInt64] {
        var held = HeldMessages()
        for number in numbers {
            held.append(StreamMessage(seq: number, header: NATSHeader(), payload: ByteBuffer()))
        }
        return held.messages.map(\.seq)
    }

    @Test("A message that comes before the one that it follows is behind it")
    func order() {
        #expect(held([5, 9, 7, 8]) == [5, 7, 8, 9])
        #expect(held([9, 5]) == [5, 9])
    }

    @Test("What is more than may be held is dropped from its end")
    func limit() {
        var held = HeldMessages()
        func append(_ number: UInt64) {
            let payload = ByteBuffer(string: "1:1:e:-:0:" + String(repeating: "x", count: 1 << 20))
            held.append(StreamMessage(seq: number, header: NATSHeader(), payload: payload))
        }
        for number in [2, 3, 4] as [UInt64] { append(number) }
        #expect(!held.isIncomplete)
        for number in [5, 1] as [UInt64] { append(number) }
        #expect(held.isIncomplete)
        #expect(held.messages.map(\.seq) == [1, 2, 3])
    }

    @Test("What is in another form is not kept while it is held, and counted where a stream is asked for it")
    func otherForms() {
        let payload = ByteBuffer(string: String(repeating: "x", count: 1 << 20))
        let header = NATSHeader(ByteBuffer(string: "NATS/1.0\r\nNats-Sequence: 5\r\nNats-Last-Sequence: 4\r\n\r\n"))
        let message = NATSMessage(subject: "s", subscription: 1, header: header, payload: payload)
        #expect(StreamMessage(live: message)?.text == "")
        #expect(StreamMessage(stored: message)?.text.utf8.count == 1 << 20)
        #expect(StreamMessage(stored: message)?.byteCount == 1 << 20)
    }

    @Test("A message that has no place for several looks, and is beyond all that the stream has, is dropped")
    func unplaced() {
        var held = HeldMessages()
        for number in [5, 9, 1_000] as [UInt64] {
            held.append(StreamMessage(seq: number, header: NATSHeader(), payload: ByteBuffer()))
        }
        // One that has a place later is waited for.
        for _ in 0..<20 { held = held.rest(from: 0, end: 7) }
        #expect(held.messages.map(\.seq) == [5, 9, 1_000] && !held.isIncomplete)
        for _ in 0..<4 { held = held.rest(from: held.messages.count - 1, end: 10) }
        #expect(held.messages.map(\.seq) == [1_000] && !held.isIncomplete)
        held.append(StreamMessage(seq: 2_000, header: NATSHeader(), payload: ByteBuffer()))
        held = held.rest(from: 0, end: 10)
        #expect(held.messages.isEmpty && held.isIncomplete)
    }

    @Test("Messages without a number keep their order, and hold up no others")
    func unnumbered() {
        #expect(held([0, 5, 0, 9, 0, 7]) == [0, 5, 0, 7, 9, 0])
    }
}
