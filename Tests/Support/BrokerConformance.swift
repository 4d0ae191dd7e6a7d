import Base
import Broker
import Testing

/// What every broker has to do, as far as its traits go: a test of an adapter for each.
enum BrokerConformance {
    static let limits = HistoryLimits(messageCount: 1_000, age: 600_000, byteCount: 64 << 20)

    static func texts(_ range: ClosedRange<Int>, _ name: String = "m") -> [String] { range.map { "\(name)\($0)" } }

    static func eachNodeGetsItOnce(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(3)
        for node in nodes { try await node.subscribe("c") }
        for index in 1...20 { try await nodes[index % 3].publishAndWait("c", ["m\(index)"]) }
        for node in nodes { try await node.record.sees("c", texts(1...20)) }
        await end(nodes)
    }

    static func oneOrder(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(3)
        for node in nodes { try await node.subscribe("c", history: limits) }
        let count = 300
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (place, node) in nodes.enumerated() {
                group.addTask {
                    for index in 0..<count {
                        try await node.publishAndWait("c", ["\(place):\(index)"], history: limits)
                    }
                }
            }
            try await group.waitForAll()
        }
        for node in nodes {
            try await node.record.wait("all") { ($0.seen["c"]?.count ?? 0) >= 3 * count ? () : nil }
        }
        let first = nodes[0].record.seen("c")
        #expect(first.count == 3 * count)
        #expect(!first.contains("gap"))
        for node in nodes { #expect(node.record.seen("c") == first) }
        for place in 0..<3 {
            #expect(first.filter { $0.hasPrefix("\(place):") } == (0..<count).map { "\(place):\($0)" })
        }
        // The numbers of the batches follow each other.
        var seq: UInt64 = 0
        for batch in nodes[1].record.now.batches["c"] ?? [] {
            #expect(batch.firstSeq == seq + 1)
            seq = batch.position.seq
        }
        await end(nodes)
    }

    static func answersHaveThePosition(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        let start = try await nodes[1].subscribe("c")
        #expect(start.position.seq == 0)
        let one = try await nodes[0].publishAndWait("c", ["a", "b", "c"])
        let two = try await nodes[0].publishAndWait("c", ["d"])
        #expect(one == MessagePosition(epoch: start.position.epoch, seq: 3))
        #expect(two.seq == 4)
        try await nodes[1].record.sees("c", ["a", "b", "c", "d"])
        let batches = nodes[1].record.now.batches["c"] ?? []
        #expect(batches.map(\.position) == [one, two])
        #expect(batches.map(\.numberedCount) == [3, 1])
        #expect(batches.allSatisfy { $0.node == nodes[0].id })
        await end(nodes)
    }

    static func publicationsArriveAsTheyAre(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        try await nodes[1].subscribe("c", history: limits)
        let large = String(repeating: "x", count: 1 << 20)
        let first = try await nodes[0].publishAndWait("c", [""], history: limits)
        let second = try await nodes[0].publishAndWait("c", ["a\0\r\n:b"], kind: .binary, history: limits)
        #expect(second == first)
        try await nodes[0].publishAndWait("c", [large, "é"], history: limits)
        try await nodes[1].record.sees("c", ["", "a\0\r\n:b", large, "é"])
        let later = try await nodes[0].subscribe("c", history: limits)
        #expect(later.history == ["", large, "é"])
        await end(nodes)
    }

    static func namesMayHaveAnyCharacters(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        let names = [
            "}", "{", "*", ">", ".", "a b", "{a}b", "}}{", "a:m", "c:c", "[a]", "?", "\\", "\"", "ü", "u\u{308}",
            "\u{212A}", "K", String(repeating: "é", count: 127) + "x",
        ]
        for name in names { try await nodes[1].subscribe(name, history: limits) }
        for name in names { try await nodes[0].publishAndWait(name, ["to " + name], history: limits) }
        for name in names {
            try await nodes[1].record.wait(name) { state in
                state.seen[Name(name)].flatMap { $0 == ["to " + name] ? () : nil }
            }
        }
        try await nodes[1].publishAndWait("}", ["last"], history: limits)
        try await nodes[1].record.sees("}", ["to }", "last"])
        let later = try await nodes[0].subscribe("{a}b", history: limits)
        #expect(later.history == ["to {a}b"])
        #expect(try await nodes[0].subscribe("}}{", history: limits).history == ["to }}{"])
        await end(nodes)
    }

    static func othersHearNothing(_ fixture: some BrokerFixture) async throws {
        let nodes = try await fixture.nodes(2)
        try await nodes[1].subscribe("c")
        try await nodes[1].subscribe("d")
        try await nodes[0].publishAndWait("c", ["one"])
        try await nodes[1].record.sees("c", ["one"])
        nodes[1].broker.unsubscribe(["c"])
        try await nodes[1].subscribe("e")
        try await nodes[0].publishAndWait("c", ["two"])
        try await nodes[0].publishAndWait("d", ["three"])
        try await nodes[1].record.sees("d", ["three"])
        #expect(nodes[1].record.seen("c") == ["one"])
        // Other nodes are not told what one unsubscribes, and it can come back.
        #expect(try await nodes[1].subscribe("c").position.seq == 2)
        try await nodes[0].publishAndWait("c", ["four"])
        try await nodes[1].record.sees("c", ["one", "four"])
        await end(nodes)
    }

    static func subscribingUnderLoad(_ fixture: some BrokerFixture, history limits: HistoryLimits?) async throws {
        let nodes = try await fixture.nodes(4)
        let count: UInt64 = 900
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in nodes.dropFirst() {
                group.addTask {
                    for index in 1...300 { try await node.publishAndWait("c", ["m\(index)"], history: limits) }
                }
            }
            group.addTask {
                var position = MessagePosition(epoch: "", seq: 0)
                while position.seq < count {
                    let (next, history) = try await nodes[0].subscribe("c", history: limits)
                    position = next
                    #expect(history.count == (limits == nil ? 0 : Int(position.seq)))
                    try await nodes[0].record.wait("what follows, or the last") { state in
                        let last = state.batches["c"]?.last?.position.seq ?? 0
                        return last > next.seq || next.seq == count ? () : nil
                    }
                    let seen = (nodes[0].record.now.batches["c"] ?? []).filter { $0.position.seq > next.seq }
                    if let first = seen.first { #expect(first.firstSeq == next.seq + 1) }
                    nodes[0].broker.unsubscribe(["c"])
                }
            }
            try await group.waitForAll()
        }
        let numbers = (nodes[0].record.now.batches["c"] ?? []).map(\.position.seq)
        #expect(Set(numbers).count == numbers.count, "a batch was delivered twice")
        #expect(!nodes[0].record.seen("c").contains("gap"))
        await end(nodes)
    }

    static func end(_ nodes: [BrokerNode]) async {
        for node in nodes { await node.broker.stop(within: .seconds(5)) }
    }
}
