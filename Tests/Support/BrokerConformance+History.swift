import Base
import Broker
import Testing

// History: what is kept, and what is known after a loss.
extension BrokerConformance {
    static func historyIsLimited(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        // By messages: no less, and little more.
        let few = HistoryLimits(messageCount: 50, age: 600_000, byteCount: 1 << 20)
        for index in 0..<40 {
            try await nodes[0].publishAndWait("count", texts((index * 10 + 1)...(index * 10 + 10)), history: few)
        }
        let counted = try await nodes[1].subscribe("count", history: few)
        #expect(counted.history == texts(351...400))
        // By age.
        let now = ContinuousTime.millisecondsSince1970
        let short = HistoryLimits(messageCount: 50, age: 60_000, byteCount: 1 << 20)
        try await nodes[0].publishAndWait("age", ["old"], history: short, at: now - 61_000)
        try await nodes[0].publishAndWait("age", ["new"], history: short, at: now - 1_000)
        #expect(try await nodes[1].subscribe("age", history: short).history == ["new"])
        // By bytes.
        let small = HistoryLimits(messageCount: 10_000, age: 600_000, byteCount: 100_000)
        let text = String(repeating: "x", count: 985)
        for _ in 0..<300 { try await nodes[0].publishAndWait("bytes", [text], history: small) }
        let kept = try await nodes[1].subscribe("bytes", history: small).history.count
        #expect((100...110).contains(kept), "\(kept) batches of 1,003 bytes")
        // A batch that is larger than the limit is kept nevertheless.
        try await nodes[0].publishAndWait("bytes", [String(repeating: "y", count: 200_000)], history: small)
        #expect(try await nodes[1].subscribe("bytes", history: small).history.count == 1)
        await end(nodes)
    }

    static func historyComesWhole(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        let large = HistoryLimits(messageCount: 5_000, age: 600_000, byteCount: 64 << 20)
        for index in 0..<250 {
            try await nodes[0].publishAndWait("c", texts((index * 20 + 1)...(index * 20 + 20)), history: large)
        }
        #expect(try await nodes[1].subscribe("c", history: large).history == texts(1...5_000))
        await end(nodes)
    }

    static func aChannelGoesOnElsewhere(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        let before = try await nodes[0].subscribe("c", history: limits)
        for index in 1...10 { try await nodes[0].publishAndWait("c", ["m\(index)"], history: limits) }
        await end([nodes[0]])
        let after = try await nodes[1].subscribe("c", history: limits)
        #expect(after.position == MessagePosition(epoch: before.position.epoch, seq: 10))
        #expect(after.history == texts(1...10))
        await end([nodes[1]])
    }

    /// What was published while the subscription was away is delivered afterwards.
    static func aCutSubscriptionMissesNothing(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c", history: limits) }
        for index in 1...300 {
            try await nodes[0].publishAndWait("c", ["m\(index)"], history: limits)
            if index % 50 == 0 { try await fixture.cutDeliveries() }
        }
        for node in nodes {
            try await node.record.sees("c", texts(1...300))
            try await node.isUp()
        }
        await end(nodes)
    }

    static func gapsAreTold(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        let few = HistoryLimits(messageCount: 5, age: 600_000, byteCount: 1 << 20)
        try await nodes[1].subscribe("few", history: few)
        try await nodes[1].subscribe("none")
        try await nodes[0].publishAndWait("few", ["m1"], history: few)
        try await nodes[0].publishAndWait("none", ["n1"])
        try await nodes[1].record.sees("few", ["m1"])
        try await nodes[1].record.sees("none", ["n1"])
        try await away(nodes[1], fixture) {
            // More than Redis keeps beyond what it must, so that the first ones are gone.
            for index in 2...400 { try await nodes[0].publishAndWait("few", ["m\(index)"], history: few) }
            for index in 2...3 { try await nodes[0].publishAndWait("none", ["n\(index)"]) }
        }
        try await nodes[1].isUp()
        let number = nodes[0].publish("few", ["last"], history: few)
        let position = try await nodes[0].accepted("few", number)
        #expect(position.seq == 401)
        try await nodes[1].record.wait("the last") { $0.seen["few"]?.last == "last" ? () : nil }
        let seen = nodes[1].record.seen("few")
        #expect(seen.prefix(2) == ["m1", "gap"])
        let gap = try #require(nodes[1].record.now.gaps["few"]?.first)
        #expect(Array(seen.dropFirst(2)) == texts(Int(gap.seq) + 1...400) + ["last"])
        #expect(gap.seq <= 396)
        try await nodes[1].record.wait("a gap") { $0.gaps["none"] != nil ? () : nil }
        try await nodes[0].publishAndWait("none", ["n4"])
        try await nodes[1].record.sees("none", ["n1", "gap", "n4"])
        #expect(nodes[1].record.now.gaps["none"]?.map(\.seq) == [3])
        await end(nodes)
    }

    /// Keeps a node's subscription away while `body` runs: what comes in is not looked at, and then the connection is
    /// cut.
    static func away(
        _ node: BrokerNode, _ fixture: some BrokerFixture, _ body: () async throws -> Void
    ) async throws {
        let gate = Gate()
        node.record.isBefore { gate.wait() }
        node.broker.send([], to: nil)
        // The node's thread stops at the next event, of which the cut makes one.
        try await fixture.cutDeliveries()
        try await gate.isReached()
        try await body()
        try await fixture.cutDeliveries()
        node.record.isBefore {}
        gate.open()
    }

    static func lostDataIsANewNumbering(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c", history: limits) }
        let before = try await nodes[0].publishAndWait("c", ["one"], history: limits)
        for node in nodes { try await node.record.sees("c", ["one"]) }
        try await fixture.restart(keepingData: false)
        for node in nodes { try await node.isUp() }
        let after = try await nodes[0].publishAndWait("c", ["two"], history: limits)
        #expect(after.epoch != before.epoch)
        #expect(after.seq == 1)
        for node in nodes {
            try await node.record.sees("c", ["one", "renumbered", "two"])
            let renumbered = node.record.now.renumbered["c"] ?? []
            #expect(renumbered.map(\.position) == [MessagePosition(epoch: after.epoch, seq: 0)])
        }
        await end(nodes)
    }

    /// Numbers that are given twice begin a new numbering, on which all nodes agree.
    static func numbersGivenTwice(_ fixture: some BrokerFixture, isRepublished: Bool) async throws {
        let nodes = try await fixture.nodes(3)
        for node in nodes { try await node.subscribe("c", history: limits) }
        for index in 1...5 { try await nodes[0].publishAndWait("c", ["m\(index)"], history: limits) }
        let epoch = try #require(nodes[0].record.now.subscribed["c"]?.first?.position.epoch)
        try await fixture.forget {
            for index in 6...8 { try await nodes[0].publishAndWait("c", ["lost\(index)"], history: limits) }
            for node in nodes { try await node.record.sees("c", texts(1...5) + texts(6...8, "lost")) }
        }
        for node in nodes { try await node.isUp() }
        if isRepublished {
            for index in 6...9 { try await nodes[0].publishAndWait("c", ["again\(index)"], history: limits) }
        }
        for node in nodes {
            try await node.record.wait("renumbered") { $0.renumbered["c"]?.isEmpty == false ? () : nil }
        }
        let last = try await nodes[1].publishAndWait("c", ["last"], history: limits)
        #expect(last.epoch != epoch)
        for node in nodes {
            try await node.record.wait("the last") { $0.seen["c"]?.last == "last" ? () : nil }
            let state = node.record.now
            let renumbered = try #require(state.renumbered["c"]?.first)
            #expect(state.renumbered["c"]?.count == 1)
            #expect(renumbered.position.epoch == last.epoch)
            let kept = renumbered.history + (state.seen["c"]?.split(separator: "renumbered").last ?? [])
            #expect(kept == texts(1...5) + (isRepublished ? texts(6...9, "again") : []) + ["last"])
        }
        await end(nodes)
    }

    static func noneIsTakenTwice(_ fixture: some BrokerFixture, _ count: Int = 150) async throws {
        let nodes = try await fixture.nodes(2)
        try await nodes[1].subscribe("c", history: limits)
        let done = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { done.open() }
                for index in 1...count { try await nodes[0].publishAndWait("c", ["m\(index)"], history: limits) }
            }
            group.addTask {
                while !done.isOpen {
                    let before = nodes[0].record.now.answers["c"]?.count ?? 0
                    try await fixture.cutCommands()
                    try await Task.sleep(for: .milliseconds(20))
                    // A busy machine may need longer for a connection.
                    try await nodes[0].record.wait("another answer") { state in
                        done.isOpen || (state.answers["c"]?.count ?? 0) > before ? () : nil
                    }
                }
            }
            try await group.waitForAll()
        }
        try await nodes[1].record.sees("c", texts(1...count))
        await end(nodes)
    }
}
