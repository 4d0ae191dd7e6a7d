import Base
import Broker
import CBrokerPlugin
import Testing

@testable import LogBroker

/// What can happen to a node and its log, by a log that does what a test wants.
@Suite(.blocking) struct LogFaultTests {
    /// A channel in a partition.
    private func channel(in partition: Int) -> String {
        (0...).lazy.map { "c\($0)" }.first { Murmur2.partition(of: $0, among: 2) == partition } ?? ""
    }

    private func goneRows(_ log: FakeLog) -> [NodeID] {
        (log.rows(0) + log.rows(1)).compactMap { if case .gone(let id)? = $0.record?.content { id } else { nil } }
    }

    @Test("A node that stood still, and has nothing to read yet, takes nobody for gone")
    func standstill() async throws {
        let log = FakeLog()
        let nodes = [try await log.node(), try await log.node(.second)]
        let channel = channel(in: 1)
        for node in nodes { try await node.subscribe(channel) }
        BrokerConformance.change(nodes[1], channel, "bob")
        try await nodes[0].record.sees(channel, ["+bob"])
        // The client library stood still as well: what others have appended comes later.
        let gate = Gate()
        nodes[0].record.isBefore { gate.wait() }
        nodes[0].broker.askForMembers(of: channel, token: 0)
        try await gate.isReached()
        log.pause(1)
        let count = log.rows(0).count
        try await BrokerConformance.eventually("the other goes on") { log.rows(0).count > count + 6 }
        nodes[0].record.isBefore {}
        gate.open()
        try await Task.sleep(for: .milliseconds(300))
        log.resume(1)
        try await nodes[0].publishAndWait(channel, ["last"])
        try await BrokerConformance.eventually("it has come") { nodes[0].record.seen(channel).last == "last" }
        #expect(nodes[0].record.seen(channel) == ["+bob", "last"])
        #expect(!goneRows(log).contains(.second))
        await BrokerConformance.end(nodes)
        log.end()
    }

    @Test("A clock that is ahead of the broker's makes nobody gone")
    func clocks() async throws {
        let log = FakeLog()
        log.lag(by: 60_000)
        let nodes = [try await log.node(), try await log.node(.second)]
        let count = log.rows(0).count
        try await BrokerConformance.eventually("both go on") { log.rows(0).count > count + 20 }
        #expect(goneRows(log).isEmpty)
        await BrokerConformance.end(nodes)
        log.end()
    }

    @Test("The users of a node that ended while a partition had no leader are gone there in time")
    func strangers() async throws {
        let log = FakeLog()
        let nodes = [try await log.node(), try await log.node(.second)]
        let channel = channel(in: 1)
        try await nodes[0].subscribe(channel)
        BrokerConformance.change(nodes[1], channel, "bob")
        try await nodes[0].record.sees(channel, ["+bob"])
        log.judge { record, partition in partition == 1 && record.sender == .second ? .held : .taken }
        await nodes[1].broker.stop(within: .milliseconds(300))
        try await nodes[0].record.sees(channel, ["+bob", "-bob"])
        try await BrokerConformance.hasMembers(nodes[0], channel, [:])
        await nodes[0].broker.stop(within: .seconds(5))
        log.end()
    }

    @Test("Who missed records tells a gap, and says the users again whom others may have removed")
    func lostRecords() async throws {
        let log = FakeLog()
        let nodes = [try await log.node(), try await log.node(.second)]
        let channel = channel(in: 1)
        for node in nodes { try await node.subscribe(channel) }
        BrokerConformance.change(nodes[0], channel, "ada")
        for node in nodes { try await node.record.sees(channel, ["+ada"]) }
        log.pause(1)
        let gone = LogRecord(
            sender: NodeID(rawValue: 9), serial: 1, readTo: 0, content: .gone(.first))
        log.append(1, FakeLog.Row(time: ContinuousTime.millisecondsSince1970, value: gone.bytes))
        try await nodes[1].record.sees(channel, ["+ada", "-ada"])
        log.resume(1, lost: 1)
        try await nodes[1].record.sees(channel, ["+ada", "-ada", "+ada"])
        try await BrokerConformance.eventually("a gap") { nodes[0].record.seen(channel).contains("gap") }
        await BrokerConformance.end(nodes)
        log.end()
    }

    @Test("A join that has to be appended again is not read behind the leave that follows it")
    func joinsAndLeaves() async throws {
        let log = FakeLog()
        let nodes = [try await log.node(), try await log.node(.second)]
        for node in nodes { try await node.subscribe("c") }
        let losses = Gate()
        log.judge { record, _ in
            guard case .changes = record.content else { return .taken }
            losses.open()
            return .lost
        }
        BrokerConformance.change(nodes[0], "c", "ada")
        try await BrokerConformance.eventually("the join is lost") { losses.isOpen }
        log.judge { _, _ in .taken }
        BrokerConformance.change(nodes[0], "c", "ada", isPresent: false)
        try await nodes[0].publishAndWait("c", ["m1"])
        try await BrokerConformance.eventually("the end") { nodes[1].record.seen("c").contains("-ada") }
        try await BrokerConformance.hasMembers(nodes[1], "c", [:])
        #expect(nodes[1].record.seen("c").filter { $0.hasSuffix("ada") } == ["+ada", "-ada"])
        await BrokerConformance.end(nodes)
        log.end()
    }

    @Test("Who subscribes once more hears of users until the answer")
    func resubscription() async throws {
        let log = FakeLog()
        let nodes = [try await log.node(), try await log.node(.second)]
        try await nodes[0].subscribe("c")
        log.judge { record, _ in
            if case .beat = record.content, record.sender == .first { .held } else { .taken }
        }
        nodes[0].broker.subscribe([Subscription(channel: "c", history: nil)])
        BrokerConformance.change(nodes[1], "c", "bob")
        try await nodes[0].record.sees("c", ["+bob"])
        log.judge { _, _ in .taken }
        try await nodes[0].record.wait("the answer") { $0.subscribed["c"]?.count == 2 ? () : nil }
        await BrokerConformance.end(nodes)
        log.end()
    }

    @Test("A record that is too large is counted, and no message")
    func tooLarge() async throws {
        let log = FakeLog()
        let node = try await log.node()
        try await node.subscribe("c")
        let partition = Murmur2.partition(of: "c", among: 2)
        log.append(
            partition,
            FakeLog.Row(
                time: ContinuousTime.millisecondsSince1970, key: Array("c".utf8), value: [],
                flags: WSD_TOO_LARGE.rawValue))
        try await node.publishAndWait("c", ["m1"])
        try await node.record.sees("c", ["m1"])
        await node.broker.stop(within: .seconds(5))
        log.end()
    }

    @Test("A record from the future does not stop a partition's clock")
    func future() async throws {
        let log = FakeLog()
        let node = try await log.node()
        try await node.subscribe("c")
        let partition = Murmur2.partition(of: "c", among: 2)
        for time in [4_102_444_800_000, ContinuousTime.millisecondsSince1970] {
            log.append(partition, FakeLog.Row(time: time, key: Array("c".utf8), value: Array("x".utf8)))
        }
        try await node.record.sees("c", ["x", "x"])
        var times: [Int64] = []
        for batch in node.record.now.batches["c"] ?? [] {
            _ = PublicationReader.forEach(batch.publications) { times.append($0.time) }
        }
        #expect(times.allSatisfy { $0 <= ContinuousTime.millisecondsSince1970 }, "\(times)")
        await node.broker.stop(within: .seconds(5))
        log.end()
    }

    @Test("A plugin that can't be opened is opened again, and what was asked meanwhile is done")
    func opening() async throws {
        let log = FakeLog()
        log.refuseOpens(1)
        let node = try await log.node(awaited: false)
        for channel in ["c", "d"] { node.broker.subscribe([Subscription(channel: channel, history: nil)]) }
        node.broker.unsubscribe(["d"])
        for index in 0..<9 { BrokerConformance.change(node, "c", "ada", isPresent: index % 2 == 0) }
        BrokerConformance.change(node, "c", "bob")
        BrokerConformance.change(node, "c", "bob", isPresent: false)
        try await node.isUp()
        try await node.record.wait("the answer") { $0.subscribed["c"] == nil ? nil : () }
        try await BrokerConformance.hasMembers(node, "c", ["ada": 1])
        #expect(node.record.now.subscribed["d"] == nil)
        await node.broker.stop(within: .seconds(5))
        log.end()
    }
}
