import Base
import Broker
import Testing

// Users, nodes, and what they say to each other.
extension BrokerConformance {
    static func change(
        _ node: BrokerNode, _ channel: String, _ user: String, isPresent: Bool = true, isAnnounced: Bool = true,
        isSilent: Bool = false, time: Int64 = 1_000
    ) {
        node.broker.change([
            PresenceChange(
                channel: channel, user: user, isPresent: isPresent, isAnnounced: isAnnounced, isSilent: isSilent,
                time: time)
        ])
    }

    /// The users in a channel, as one node sees them.
    static func members(_ node: BrokerNode, _ channel: String) async throws -> [BrokerMember]? {
        let token = UInt64.random(in: 0 ... .max)
        node.broker.askForMembers(of: channel, token: token)
        return try await node.record.wait("members of \(channel)") { $0.members[token] }
    }

    /// Waits until a node sees these users, with the numbers of their nodes.
    static func hasMembers(_ node: BrokerNode, _ channel: String, _ expected: [String: Int]) async throws {
        let deadline = ContinuousClock.now + patience
        var last: [BrokerMember]?
        while ContinuousClock.now < deadline {
            last = try await members(node, channel)
            if let last, Dictionary(uniqueKeysWithValues: last.map { ($0.user, $0.nodeCount) }) == expected { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw NotSeen("\(channel) has \(last.map { "\($0)" } ?? "no members") instead of \(expected)")
    }

    static func presenceOverNodes(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c") }
        change(nodes[0], "c", "ada", time: 5_000)
        try await hasMembers(nodes[1], "c", ["ada": 1])
        change(nodes[1], "c", "ada", time: 4_000)
        change(nodes[1], "c", "bob", isAnnounced: false)
        try await hasMembers(nodes[0], "c", ["ada": 2, "bob": 1])
        #expect(try await members(nodes[0], "c")?.first == BrokerMember(user: "ada", nodeCount: 2, since: 4_000))
        change(nodes[0], "c", "ada", isPresent: false)
        try await hasMembers(nodes[1], "c", ["ada": 1, "bob": 1])
        change(nodes[1], "c", "bob", isPresent: false, isAnnounced: false)
        change(nodes[1], "c", "ada", isPresent: false)
        for node in nodes { try await node.record.sees("c", ["+ada", "-ada"]) }
        try await hasMembers(nodes[1], "c", [:])
        // Who comes and goes at once is not there in the end, and told in pairs.
        for index in 0..<50 { change(nodes[0], "c", "cy", isPresent: index % 2 == 0) }
        change(nodes[0], "c", "dee")
        try await hasMembers(nodes[1], "c", ["dee": 1])
        try await nodes[1].record.wait("dee") { $0.seen["c"]?.contains("+dee") == true ? () : nil }
        let told = nodes[1].record.seen("c").filter { $0.hasSuffix("cy") }
        for (place, text) in told.enumerated() { #expect(text == (place % 2 == 0 ? "+cy" : "-cy")) }
        #expect(told.count % 2 == 0)
        await end(nodes)
    }

    /// Who was there before the broker is told is not announced, until the user leaves.
    static func whoWasThereIsNotAnnounced(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c") }
        change(nodes[0], "c", "ada", isSilent: true)
        try await hasMembers(nodes[1], "c", ["ada": 1])
        change(nodes[0], "c", "ada", isPresent: false)
        for node in nodes { try await node.record.sees("c", ["-ada"]) }
        change(nodes[0], "c", "ada")
        for node in nodes { try await node.record.sees("c", ["-ada", "+ada"]) }
        await end(nodes)
    }

    /// The users of a node that is cut off are gone in time, told once; when it comes back, so are they.
    static func aLostNodesUsersVanish(
        _ fixture: some BrokerFixture, within time: Duration, cut: (BrokerNode) async throws -> Void,
        mend: (BrokerNode) async throws -> Void,
        lost: BrokerNode
    ) async throws {
        let others = try await fixture.nodes(3)
        try await lost.isUp()
        for node in others { try await node.subscribe("c") }
        change(lost, "c", "ada")
        change(lost, "c", "bob", isAnnounced: false)
        change(lost, "c", "dee", isSilent: true)
        change(others[0], "c", "cy")
        try await hasMembers(others[1], "c", ["ada": 1, "bob": 1, "cy": 1, "dee": 1])
        #expect(Set(try #require(await others[0].broker.nodes()).map(\.id)) == Set((others + [lost]).map(\.id)))
        try await cut(lost)
        let start = ContinuousClock.now
        try await hasMembers(others[1], "c", ["cy": 1])
        #expect(ContinuousClock.now - start < time)
        for node in others {
            try await node.record.wait("leave") { Set($0.seen["c"] ?? []).isSuperset(of: ["-ada", "-dee"]) ? () : nil }
            #expect(node.record.seen("c").filter { $0 == "-ada" } == ["-ada"])
            #expect(node.record.seen("c").filter { $0.hasSuffix("dee") } == ["-dee"])
            #expect(!node.record.seen("c").contains("-bob"))
        }
        try await eventually("three nodes") { await others[0].broker.nodes()?.count == 3 }
        try await mend(lost)
        try await hasMembers(others[1], "c", ["ada": 1, "bob": 1, "cy": 1, "dee": 1])
        for node in others {
            try await node.record.wait("again") { state in
                state.seen["c"]?.filter { $0.hasSuffix("ada") } == ["+ada", "-ada", "+ada"] ? () : nil
            }
        }
        try await eventually("four nodes") { await others[0].broker.nodes()?.count == 4 }
        await end([lost])
        for node in others {
            try await node.record.wait("the end") { state in
                state.seen["c"]?.filter { $0 == "-ada" }.count == 2 ? () : nil
            }
        }
        try await hasMembers(others[1], "c", ["cy": 1])
        for node in others {
            #expect(node.record.seen("c").filter { $0.hasSuffix("ada") } == ["+ada", "-ada", "+ada", "-ada"])
        }
        await end(others)
    }

    static func eventually(_ what: String, _ body: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + patience
        while !(try await body()) {
            guard ContinuousClock.now < deadline else { throw NotSeen("not seen in \(patience): \(what)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    static func usersSurviveLostData(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        for node in nodes { try await node.subscribe("c") }
        change(nodes[0], "c", "ada")
        for node in nodes { try await node.record.sees("c", ["+ada"]) }
        change(nodes[1], "c", "ada")
        change(nodes[1], "c", "bob")
        try await hasMembers(nodes[0], "c", ["ada": 2, "bob": 1])
        for node in nodes { try await node.record.sees("c", ["+ada", "+bob"]) }
        try await fixture.restart(keepingData: false)
        for node in nodes { try await node.isUp() }
        try await hasMembers(nodes[0], "c", ["ada": 2, "bob": 1])
        // Nobody had been told that they were gone.
        try await nodes[0].publishAndWait("c", ["last"])
        for node in nodes {
            try await eventually("the last message has come") { node.record.seen("c").last == "last" }
            // As nothing was published before, a node may learn of the new numbering with its first message.
            #expect(node.record.seen("c").filter { $0 != "renumbered" } == ["+ada", "+bob", "last"])
        }
        await end(nodes)
    }

    static func nodesTalk(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(3)
        nodes[0].broker.send(Array("to all".utf8), to: nil)
        nodes[0].broker.send(Array("to \0:one".utf8), to: nodes[2].id)
        try await nodes[1].record.wait("a message") { $0.messages.count == 1 ? () : nil }
        try await nodes[2].record.wait("two messages") { $0.messages.count == 2 ? () : nil }
        #expect(nodes[1].record.now.messages.map(\.text) == ["to all"])
        // Those to all and those to one may go by different servers.
        #expect(nodes[2].record.now.messages.map(\.text).sorted() == ["to \0:one", "to all"])
        #expect(nodes[2].record.now.messages.allSatisfy { $0.from == nodes[0].id })
        #expect(nodes[0].record.now.messages.isEmpty)
        await end(nodes)
    }

    static func otherPrefixesAreSilent(_ fixture: some BrokerFixture) async throws {
        let one = fixture.node(prefix: "one")
        let two = fixture.node(prefix: "two")
        for node in [one, two] {
            try await node.isUp()
            try await node.subscribe("c", history: limits)
        }
        try await one.publishAndWait("c", ["a"], history: limits)
        change(one, "c", "ada")
        one.broker.send(Array("x".utf8), to: nil)
        try await two.publishAndWait("c", ["b"], history: limits)
        try await one.record.sees("c", ["a", "+ada"])
        try await two.record.sees("c", ["b"])
        #expect(try await members(two, "c") == [])
        try await eventually("only the other node is there") { await two.broker.nodes()?.map(\.id) == [two.id] }
        #expect(two.record.now.messages.isEmpty)
        await end([one, two])
    }

    static func stoppingSendsWhatIsThere(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        try await nodes[1].subscribe("c", history: limits)
        let numbers = (1...200).map { nodes[0].publish("c", ["m\($0)"], history: limits) }
        for index in 0..<100 { change(nodes[0], "d", "u\(index)") }
        await nodes[0].broker.stop(within: patience)
        for number in numbers { _ = try await nodes[0].accepted("c", number) }
        try await nodes[1].record.sees("c", texts(1...200))
        #expect(try await members(nodes[1], "d") == [])
        try await eventually("only the other node is there") {
            await nodes[1].broker.nodes()?.map(\.id) == [nodes[1].id]
        }
        await end([nodes[1]])
    }
}
