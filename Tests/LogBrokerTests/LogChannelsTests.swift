import Base
import Broker
import Testing

@testable import LogBroker

/// A log and nodes that read it, each as far as it has got.
private struct Logs {
    struct Row {
        var sender: Int
        var name: Name
        var claim: LogRecord.Claim
        var readTo: UInt64
        /// Nil for a record that only claims.
        var count: Int?
    }

    struct Reader {
        var channels = LogChannels(byteLimit: 1 << 20)
        var next: UInt64
        /// The positions of each channel after its records, by their offsets.
        var seen: [UInt64: MessagePosition] = [:]
    }

    var rows: [Row] = []
    var readers: [Reader] = []
    /// What was handed over and is not in the log yet.
    var underWay: [Row] = []
    var epochs = 0

    mutating func read(_ index: Int) {
        guard readers[index].next < UInt64(rows.count) else { return }
        let offset = readers[index].next
        let row = rows[Int(offset)]
        readers[index].next += 1
        readers[index].channels.begin(offset)
        guard
            let entry = readers[index].channels.settle(
                row.claim, for: row.name, numberedCount: row.count ?? 0, readTo: row.readTo, at: offset, Int64(offset))
        else { return }
        if let count = row.count {
            let kept = LogChannels.Kept(
                offset: offset, seq: 0, numberedCount: count, node: nil, number: 0, publications: [1, 2, 3])
            _ = readers[index].channels.append(
                kept, to: entry, row.name, limits: HistoryLimits(messageCount: 5, age: 1_000, byteCount: 1_000))
        }
        readers[index].seen[offset] = entry.position
    }

    mutating func write(_ index: Int, _ name: Name, _ count: Int?, isReplacing: Bool) {
        epochs += 1
        let position = readers[index].channels[name]?.position
        let claim: LogRecord.Claim
        if let position, isReplacing {
            claim = LogRecord.Claim(
                kind: .replacing, position: MessagePosition(epoch: "e\(epochs)", seq: position.seq),
                replaced: position.epoch)
        } else if let position {
            claim = LogRecord.Claim(kind: .known, position: position)
        } else {
            claim = LogRecord.Claim(kind: .begun, position: MessagePosition(epoch: "e\(epochs)", seq: 0))
        }
        let readTo = readers[index].channels.nextOffset
        underWay.append(Row(sender: index, name: name, claim: claim, readTo: readTo, count: count))
    }

    /// Takes the next record of some sender into the log: those of one stay in order.
    mutating func commit(using random: inout Seeded) {
        guard let sender = underWay.map(\.sender).randomElement(using: &random),
            let index = underWay.firstIndex(where: { $0.sender == sender })
        else { return }
        rows.append(underWay.remove(at: index))
    }
}

@Suite struct LogChannelsTests {
    @Test("All who read a log come to the same numbers, wherever they begin", arguments: 0..<60)
    func agreement(_: Int) {
        var random = Seeded()
        var logs = Logs()
        let names = (0..<Int.random(in: 1...4, using: &random)).map { Name("c\($0)") }
        let replaces = Bool.random(using: &random)
        logs.readers = (0..<3).map { _ in Logs.Reader(next: 0) }
        for _ in 0..<2_000 {
            let reader = Int.random(in: logs.readers.indices, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0...2:
                guard logs.underWay.count < 20, let name = names.randomElement(using: &random) else { continue }
                let count = Int.random(in: 0..<4, using: &random)
                logs.write(
                    reader, name, count == 3 ? nil : count,
                    isReplacing: replaces && Int.random(in: 0..<20, using: &random) == 0)
            case 3...5: logs.commit(using: &random)
            case 6 where logs.readers.count < 6 && logs.rows.count > 100:
                // It reads at least what was known when the oldest record on its way was handed over.
                let start = min(logs.underWay.map(\.readTo).min() ?? .max, UInt64(logs.rows.count))
                let margin = UInt64.random(in: 0...60, using: &random)
                logs.readers.append(Logs.Reader(next: start > margin ? start - margin : 0))
                while logs.readers[logs.readers.count - 1].next < UInt64(logs.rows.count) {
                    logs.read(logs.readers.count - 1)
                }
            default: for _ in 0..<3 { logs.read(reader) }
            }
        }
        while !logs.underWay.isEmpty { logs.commit(using: &random) }
        for index in logs.readers.indices {
            while logs.readers[index].next < UInt64(logs.rows.count) { logs.read(index) }
        }
        let full = logs.readers[0].seen
        #expect(full.count == logs.rows.count, "seed \(random.seed)")
        for reader in logs.readers {
            for (offset, position) in reader.seen where position != full[offset] {
                Issue.record(
                    "\(position) at \(offset) instead of \(String(describing: full[offset])), seed \(random.seed)")
                return
            }
            for (name, entry) in reader.channels.entries {
                #expect(entry.position == logs.readers[0].channels[name]?.position, "seed \(random.seed)")
                let seqs = entry.history(of: name.text).map(\.position.seq)
                #expect(seqs == seqs.sorted() && seqs.last ?? 0 <= entry.position.seq)
            }
        }
        // No number is given twice in an epoch of a channel.
        for name in names {
            var last: [String: UInt64] = [:]
            for (offset, row) in logs.rows.enumerated() where row.name == name && row.count ?? 0 > 0 {
                guard let position = full[UInt64(offset)] else { continue }
                #expect(position.seq > last[position.epoch] ?? 0, "seed \(random.seed)")
                last[position.epoch] = position.seq
            }
        }
    }

    @Test("All histories together stay below the limit, and the oldest batches go first")
    func memory() {
        var channels = LogChannels(byteLimit: 10_000)
        let limits = HistoryLimits(messageCount: 1_000, age: 1_000, byteCount: 100_000)
        for offset in UInt64(0)..<3_000 {
            channels.begin(offset)
            let name = Name("c\(offset % 7)")
            let claim = LogRecord.Claim(
                kind: .known, position: channels[name]?.position ?? MessagePosition(epoch: "e", seq: 0))
            let entry = channels.settle(claim, for: name, readTo: offset, at: offset, 0)
            let kept = LogChannels.Kept(
                offset: offset, seq: 0, numberedCount: 1, node: nil, number: offset,
                publications: [UInt8](repeating: 0, count: 100))
            if let entry { _ = channels.append(kept, to: entry, name, limits: limits) }
            #expect(channels.keptByteCount <= 10_000)
        }
        let kept = channels.entries.flatMap { $0.value.history(of: $0.key.text).map(\.number) }.sorted()
        #expect(kept == Array(2_900..<3_000))
    }

    @Test("Channels that nothing is heard of are forgotten, but not those that are needed or have a history")
    func forgetting() {
        var channels = LogChannels(byteLimit: 10_000)
        for (place, name) in ["old", "needed", "kept", "new"].enumerated() {
            let offset = UInt64(place)
            channels.begin(offset)
            let claim = LogRecord.Claim(kind: .begun, position: MessagePosition(epoch: "e", seq: 0))
            let time: Int64 = name == "new" ? 900 : 100
            let entry = channels.settle(claim, for: Name(name), readTo: offset, at: offset, time)
            guard let entry, name == "kept" else { continue }
            let kept = LogChannels.Kept(
                offset: offset, seq: 0, numberedCount: 1, node: nil, number: 1, publications: [1])
            _ = channels.append(
                kept, to: entry, Name(name), limits: HistoryLimits(messageCount: 1, age: 5_000, byteCount: 100))
        }
        channels.forget(idleFor: 500, now: 1_000) { $0 == Name("needed") }
        #expect(Set(channels.entries.keys.map(\.text)) == ["needed", "kept", "new"])
        channels.forget(idleFor: 500, now: 6_000) { $0 == Name("needed") }
        #expect(channels.entries.keys.map(\.text) == ["needed"])
        #expect(channels.keptByteCount == 0)
    }
}

@Suite struct LogUsersTests {
    private static let one = NodeID(rawValue: 1)
    private static let two = NodeID(rawValue: 2)

    private func change(_ user: String, _ isPresent: Bool = true, isAnnounced: Bool = true) -> LogRecord.UserChange {
        LogRecord.UserChange(channel: "c", user: user, time: 5, isPresent: isPresent, isAnnounced: isAnnounced)
    }

    @Test("The first node announces that a user has come, and the last one that the user is gone")
    func announcements() {
        var users = LogUsers()
        #expect(users.change([change("ada")], of: Self.one).map(\.isPresent) == [true])
        #expect(users.change([change("ada")], of: Self.two).isEmpty)
        #expect(users.change([change("ada", false)], of: Self.one).isEmpty)
        #expect(users.change([change("ada", false)], of: Self.one).isEmpty)
        #expect(users.change([change("ada", false)], of: Self.two).map(\.isPresent) == [false])
        #expect(users.members(of: Name("c")).isEmpty)
    }

    @Test("A lost node's users are announced as gone, once, if they were announced and are nowhere else")
    func lostNode() {
        var users = LogUsers()
        _ = users.change([change("ada"), change("bob"), change("cy", isAnnounced: false)], of: Self.one)
        _ = users.change([change("bob")], of: Self.two)
        #expect(users.remove(Self.one, at: 9).map(\.user.text) == ["ada"])
        #expect(users.remove(Self.one, at: 9).isEmpty)
        #expect(users.members(of: Name("c")).map(\.user) == ["bob"])
    }

    @Test("Users whom a node does not say again are forgotten without a word")
    func saidAgain() {
        var users = LogUsers()
        _ = users.change([change("ada"), change("bob"), change("cy")], of: Self.one)
        users.say([change("bob")], of: Self.one, isFirst: true, isLast: false)
        #expect(users.members(of: Name("c")).count == 3)
        _ = users.change([change("dee")], of: Self.one)
        users.say([change("eve")], of: Self.one, isFirst: false, isLast: true)
        #expect(users.members(of: Name("c")).map(\.user) == ["bob", "dee", "eve"])
    }
}
