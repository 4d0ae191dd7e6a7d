import Broker
import Control
import Synchronization
import Testing

@testable import Consuming

@Suite("The consumer")
struct ConsumerTests {
    private func consumer(
        _ source: TestSource, _ hub: TestHub, byteCount: Int = 1 << 20
    ) -> Consumer {
        Consumer(
            source, ConsumerRules(format: .json),
            Consumer.Surroundings(
                publish: { await hub.publish($0) }, publishByteCount: { byteCount },
                rejected: { record in hub.rejected.withLock { $0.append(record) } }, pause: { _ in hub.paused() }))
    }

    @Test("publishes each record and acknowledges it then, in order")
    func order() async {
        let records = (1...500).map { record($0, channel: "room:\($0 % 3)") }
        let source = TestSource([Array(records[..<200]), Array(records[200...])])
        let hub = TestHub()
        let consumer = consumer(source, hub)
        await consumer.run()
        #expect(hub.texts == (1...500).map { "\($0)" })
        #expect(source.settled == records.map { SettledRecord(id: $0.id) })
        #expect(consumer.counts == Consumer.Counts(published: 500))
        // No batch is asked for before the last one is settled.
        #expect(source.mostUnsettled == 300)
    }

    @Test("publishes no more at once than is allowed, and at least one")
    func bound() async {
        let source = TestSource([(10...99).map { record($0, channel: "a") }])
        let hub = TestHub()
        await consumer(source, hub, byteCount: 10).run()
        #expect(hub.calls.map(\.count).max() == 5 && hub.texts.count == 90)
        let large = TestSource([[record(1_000, channel: "a"), record(1_001, channel: "a")]])
        let other = TestHub()
        await consumer(large, other, byteCount: 3).run()
        #expect(other.calls.map(\.count) == [1, 1])
    }

    @Test("goes back in a channel to the first record that was refused, and not in others")
    func refusal() async {
        let source = TestSource([(1...6).map { record($0, channel: $0 % 2 == 0 ? "even" : "odd") }])
        // The second record is refused twice.
        let hub = TestHub(refusing: ["2": 2])
        let consumer = consumer(source, hub)
        await consumer.run()
        #expect(hub.calls == [["1", "2", "3", "4", "5", "6"], ["2", "4", "6"], ["2", "4", "6"]])
        #expect(source.settled.map(\.id) == ["1-0", "3-0", "5-0", "2-0", "4-0", "6-0"])
        #expect(consumer.counts == Consumer.Counts(published: 6, retried: 6))
        #expect(hub.pauseCount == 2)
        #expect(consumer.refusal == nil)
    }

    @Test("settles what the broker takes at no time with the reason, and publishes what was refused with it")
    func rejection() async {
        let records = (1...4).map { record($0, channel: "a") } + [record(5, channel: "b"), record(6, channel: "a")]
        let source = TestSource([records])
        let hub = TestHub(rejecting: "3")
        let consumer = consumer(source, hub)
        await consumer.run()
        // Those of the channel came as one batch, which the broker refused whole; in the end it is asked for each.
        let together = ["1", "2", "3", "4", "6"]
        #expect(
            hub.calls == [["1", "2", "3", "4", "5", "6"], together, together, ["1"], ["2"], ["3"], ["4", "6"]])
        #expect(source.settled.filter { $0.fault == nil }.map(\.id) == ["5-0", "1-0", "2-0", "4-0", "6-0"])
        #expect(source.settled.filter { $0.fault != nil } == [SettledRecord(id: "3-0", fault: "it is too large")])
        #expect(consumer.counts == Consumer.Counts(published: 5, rejected: 1, retried: 15))
        #expect(consumer.refusal == nil)
    }

    @Test("publishes nothing more when the source is another node's, and acknowledges what it has published alone")
    func lostTerm() async {
        let source = TestSource([(1...3).map { record($0, channel: "a") }])
        let hub = TestHub(refusing: ["2": .max]) { source.end() }
        await consumer(source, hub).run()
        #expect(hub.calls.count == 1)
        #expect(source.settled.map(\.id) == ["1-0"])
    }

    @Test("settles what can't be published with the reason, and goes on with the rest")
    func broken() async {
        let records = [
            record(1, channel: "a"),
            Record(id: "2-0", .fields(["data": Array("2".utf8)])),
            Record(id: "3-0", .fields(["channel": Array("a".utf8)])),
            Record(id: "4-0", .fields(["channel": Array("a\n".utf8), "data": Array("4".utf8)])),
            Record(id: "5-0", .fields(["channel": [0xFF], "data": Array("5".utf8)])),
            Record(id: "6-0", .fields(["channel": Array("a".utf8), "data": Array("{".utf8)])),
            Record(id: "7-0", .fields(["channel": Array("a".utf8), "data": [0x22, 0xFF, 0x22]])),
            Record(id: "8-0", .tooLarge(byteCount: 9, limit: "8 bytes")),
            Record(id: "9-0", .deleted),
            Record(id: "10-0", .fields(["channel": Array("a".utf8), "data": Array("\"long\"".utf8)])),
            record(11, channel: "a"),
        ]
        let source = TestSource([records])
        let hub = TestHub(largest: 4)
        let consumer = consumer(source, hub)
        await consumer.run()
        #expect(source.settled.filter { $0.fault == nil }.map(\.id) == ["1-0", "11-0"])
        let faults = source.settled.filter { $0.fault != nil }
        #expect(Set(faults.map(\.id)) == Set((2...10).map { "\($0)-0" }))
        #expect(hub.rejected.withLock { $0 } == faults)
        #expect(consumer.counts == Consumer.Counts(published: 2, rejected: 9))
        #expect(
            faults.first { $0.id == "2-0" }?.fault
                == "it has no field \"channel\" for the channel, and its message no member of that name")
        #expect(faults.first { $0.id == "6-0" }?.fault?.contains("format = \"text\"") ?? false)
        #expect(faults.first { $0.id == "8-0" }?.fault?.contains("9 bytes") ?? false)
    }

    @Test("takes the channel and the message as it is told")
    func rules() throws {
        let fields = ["room": Array("r".utf8), "body": Array("{\"a\":1}".utf8)]
        let named = ConsumerRules(channelField: "room", dataField: "body", format: .json)
        #expect(try named.message(of: Record(id: "1", .fields(fields))).channel == "r")
        let fixed = ConsumerRules(channel: "all", dataField: "body", format: .text)
        let message = try fixed.message(of: Record(id: "1", .fields(fields)))
        #expect(message.channel == "all" && message.message.isPlainText)
        let bytes = ConsumerRules(channel: "all", dataField: "body", format: .binary)
        let binary = try bytes.message(of: Record(id: "1", .fields(["body": [0xFF, 0]])))
        #expect(binary.message.isBinary && binary.message.payload == [0xFF, 0])
        #expect(throws: RecordFault.self) { try fixed.message(of: Record(id: "1", .fields(["body": [0xFF]]))) }
    }

    private func record(_ number: Int, channel: String) -> Record {
        Record(id: "\(number)-0", .fields(["channel": Array(channel.utf8), "data": Array("\(number)".utf8)]))
    }
}

/// A source that gives out what it has been given.
private final class TestSource: RecordSource {
    private struct State {
        var batches: [[Record]]
        var settled: [SettledRecord] = []
        var givenCount = 0
        var mostUnsettled = 0
        var isOver = false
    }

    private let inner: Mutex<State>

    init(_ batches: [[Record]]) { inner = Mutex(State(batches: batches)) }

    var settled: [SettledRecord] { inner.withLock(\.settled) }
    var mostUnsettled: Int { inner.withLock(\.mostUnsettled) }
    var state: SourceState { SourceState(.reading) }

    func start() {}
    func stop() async {}
    func end() { inner.withLock { $0.isOver = true } }
    func isCurrent(_ term: UInt64) -> Bool { inner.withLock { !$0.isOver } }
    func settle(_ records: [SettledRecord]) { inner.withLock { $0.settled += records } }

    func next() async -> RecordBatch? {
        inner.withLock { state in
            guard !state.isOver, !state.batches.isEmpty else { return nil }
            let records = state.batches.removeFirst()
            state.givenCount += records.count
            state.mostUnsettled = max(state.mostUnsettled, state.givenCount - state.settled.count)
            return RecordBatch(records, term: 1)
        }
    }
}

/// Takes messages as a hub does, and refuses some.
private final class TestHub: Sendable {
    let rejected = Mutex<[SettledRecord]>([])
    private let largest: Int
    /// The text that the broker takes at no time, and no other of its channel with it: then it is not said which is meant.
    private let rejectedText: String
    private let onPause: @Sendable () -> Void
    private let inner: Mutex<(calls: [[String]], refusals: [String: Int], pauseCount: Int)>

    init(
        refusing: [String: Int] = [:], rejecting: String = "", largest: Int = 100,
        onPause: @escaping @Sendable () -> Void = {}
    ) {
        inner = Mutex(([], refusing, 0))
        rejectedText = rejecting
        self.largest = largest
        self.onPause = onPause
    }

    var calls: [[String]] { inner.withLock(\.calls) }
    var texts: [String] { calls.flatMap(\.self) }
    var pauseCount: Int { inner.withLock(\.pauseCount) }

    func paused() {
        inner.withLock { $0.pauseCount += 1 }
        onPause()
    }

    func publish(_ messages: [ChannelMessage]) async -> [Result<PublishResult, ControlError>] {
        inner.withLock { state in
            let texts = messages.map { String(decoding: $0.message.payload, as: UTF8.self) }
            state.calls.append(texts)
            let rejectedChannel = texts.firstIndex(of: rejectedText).map { messages[$0].channel }
            return zip(texts, messages).map { text, message in
                if message.channel == rejectedChannel {
                    let isAlone = messages.count { $0.channel == rejectedChannel } == 1
                    return .failure(isAlone ? .rejected("it is too large") : .unavailable("one is too large"))
                }
                guard text.utf8.count <= largest else {
                    return .failure(.messageTooLarge(byteCount: text.utf8.count, limit: largest))
                }
                if let left = state.refusals[text], left > 0 {
                    state.refusals[text] = left - 1
                    return .failure(.unavailable("the broker is away"))
                }
                return .success(PublishResult(recipients: 1))
            }
        }
    }
}
