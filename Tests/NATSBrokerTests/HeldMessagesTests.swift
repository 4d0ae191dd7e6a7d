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

    @Test("Messages without a number keep their order, and hold up no others")
    func unnumbered() {
        #expect(held([0, 5, 0, 9, 0, 7]) == [0, 5, 0, 7, 9, 0])
    }
}
