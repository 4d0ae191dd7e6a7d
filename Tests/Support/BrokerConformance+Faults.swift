import Base
import Broker
import Testing

// What can happen to a service, and what is said of it.
extension BrokerConformance {
    /// A service that stands still: noticed, told, and made up for.
    static func aPauseIsNoticed(_ fixture: some BrokerFixture, within time: Duration) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c", history: limits) }
        try await nodes[0].publishAndWait("c", ["m1"], history: limits)
        let start = ContinuousClock.now
        try await fixture.pause()
        let reason = try await nodes[1].isDown()
        #expect(ContinuousClock.now - start < time, "\(reason)")
        // One batch may wait, one may not wait that long. Whether they were taken can't be known.
        let waiting = nodes[0].publish("c", ["m2"], history: limits)
        let refused = nodes[0].publish("d", ["x"], history: limits, within: .milliseconds(300))
        let refusedAt = ContinuousClock.now
        let refusal = try await nodes[0].refused("d", refused)
        #expect(ContinuousClock.now - refusedAt < .seconds(10))
        #expect(!refusal.reason.isEmpty)
        try await fixture.resume()
        for node in nodes { try await node.isUp() }
        _ = try await nodes[0].accepted("c", waiting)
        try await nodes[1].publishAndWait("c", ["m3"], history: limits)
        for node in nodes { try await node.record.sees("c", texts(1...3)) }
        await end(nodes)
    }

    static func aRestartIsMadeUpFor(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c", history: limits) }
        try await nodes[0].publishAndWait("c", ["m1"], history: limits)
        for node in nodes { try await node.record.sees("c", ["m1"]) }
        try await fixture.restart(keepingData: true)
        for index in 2...5 { try await nodes[0].publishAndWait("c", ["m\(index)"], history: limits) }
        for node in nodes { try await node.record.sees("c", texts(1...5)) }
        await end(nodes)
    }

    /// A node whose thread stands still is cut by the service, and makes up for it.
    static func aSlowNodeIsMadeUpFor(_ fixture: some BrokerFixture, byteCount: Int) async throws {
        let nodes = try await fixture.nodes(2)
        let large = HistoryLimits(messageCount: 10_000, age: 600_000, byteCount: 256 << 20)
        for node in nodes { try await node.subscribe("c", history: large) }
        let gate = Gate()
        nodes[1].record.isBefore { gate.wait() }
        let padding = String(repeating: "x", count: 100_000)
        let count = byteCount / padding.utf8.count
        for index in 1...count { try await nodes[0].publishAndWait("c", ["m\(index) " + padding], history: large) }
        try await gate.isReached()
        nodes[1].record.isBefore {}
        gate.open()
        try await nodes[0].publishAndWait("c", ["last"], history: large)
        try await nodes[1].record.wait("the last") { $0.seen["c"]?.last == "last" ? () : nil }
        #expect(
            nodes[1].record.seen("c").map { $0.prefix { $0 != " " } } == (texts(1...count) + ["last"]).map { $0[...] })
        try await nodes[1].isUp()
        await end(nodes)
    }

    static func manyChannelsComeBack(_ fixture: some BrokerFixture, _ count: Int) async throws {
        let nodes = try await fixture.nodes(2)
        let names = (0..<count).map { "channel-\($0)" }
        nodes[1].broker.subscribe(names.map { Subscription(channel: $0, history: nil) })
        try await nodes[1].record.wait("all subscribed") { $0.subscribed.count == count ? () : nil }
        for name in names.prefix(100) { nodes[0].publish(name, ["one"]) }
        try await nodes[1].record.wait("the first") { $0.seen.count == 100 ? () : nil }
        try await nodes[1].comesBack { try await fixture.cutDeliveries() }
        for name in names { nodes[0].publish(name, ["two"]) }
        try await nodes[1].record.wait("all of the second") { $0.seen.count == count ? () : nil }
        for (place, name) in names.enumerated() {
            try await nodes[1].record.sees(name, place < 100 ? ["one", "two"] : ["two"])
        }
        await end(nodes)
    }

    static func itIsAwaited(_ node: BrokerNode, start: () async throws -> Void) async throws {
        let reason = try await node.isDown { !$0.contains("yet") }
        #expect(reason.contains("can't be reached"), "\(reason)")
        node.broker.subscribe([Subscription(channel: "c", history: nil)])
        let number = node.publish("c", ["early"])
        try await start()
        try await node.isUp()
        _ = try await node.accepted("c", number)
        try await node.publishAndWait("c", ["late"])
        try await node.record.wait("late") { $0.seen["c"]?.last == "late" ? () : nil }
        await end([node])
    }
}
