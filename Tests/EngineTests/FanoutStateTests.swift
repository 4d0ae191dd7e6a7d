import Base
import Channels
import Settings
import Testing
import WebSocket

@testable import Engine

/// The pieces of what goes out: queues, and channels at their homes.
@Suite("What is still to be said, written down")
struct FanoutStateTests {
    private let frames = ByteMeter()
    private let history = ByteMeter()

    private func restored(_ backlogs: [Backlog], now: UInt32, then: UInt32) throws(StateError) -> [Backlog] {
        try read(write(backlogs, now: now), count: backlogs.count, now: then)
    }

    private func write(_ backlogs: [Backlog], now: UInt32) -> [UInt8] {
        var writer = StateWriter()
        var shared = SharedOutputWriter()
        for backlog in backlogs { backlog.write(to: &writer, now: now, &shared) }
        return writer.bytes
    }

    private func read(
        _ bytes: [UInt8], count: Int, now: UInt32, _ known: KnownSegments? = nil
    ) throws(StateError) -> [Backlog] {
        try bytes.reading { (state) throws(StateError) in
            var shared = SharedOutputReader(frames: frames, history: history, known: known)
            var backlogs: [Backlog] = []
            for _ in 0..<count { backlogs.append(try Backlog(from: &state, now: now, &shared)) }
            try state.require(state.isAtEnd, "nothing is left")
            return backlogs
        }
    }

    private func expectSame(_ one: Backlog, _ other: Backlog, _ comment: Comment) {
        #expect(one.byteCount == other.byteCount && one.frameCount == other.frameCount, comment)
        #expect(one.ownByteCount == other.ownByteCount && one.sharedByteCount == other.sharedByteCount, comment)
        #expect(one.missedByteCount == other.missedByteCount && one.isEmpty == other.isEmpty, comment)
        #expect(one.isOverLimitReported == other.isOverLimitReported, comment)
    }

    /// The next bytes for the socket, at most `most`.
    private func take(_ most: Int, from backlog: Backlog, _ text: inout MessageText) -> [UInt8] {
        backlog.fetchMissed(frames, &text)
        let bytes = Array(
            backlog.waiting.prefix { $0.missed == nil }.flatMap { $0.segment.bytes[$0.start..<$0.end] }.prefix(most))
        backlog.consume(bytes.count)
        return bytes
    }

    private func segment(using random: inout Seeded) -> Segment {
        var builder = SegmentBuilder(frames)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let opcode: Opcode = [.text, .binary, .pong][Int.random(in: 0..<3, using: &random)]
            let size = Int.random(in: 0...(opcode == .pong ? 125 : 300), using: &random)
            [UInt8](repeating: 0x61, count: size).withUnsafeBytes { builder.append(opcode, payload: $0) }
        }
        return builder.finish()
    }

    private func keptMessages() -> History {
        var kept = History(limits: .init(messageCount: 1_000, age: 1_000, byteCount: 1 << 30), meter: history)
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        for seq in UInt64(1)...200 {
            [UInt8](repeating: 0x62, count: 500).withUnsafeBytes {
                kept.append(NumberedPublication(.chatText, seq: seq, time: 0, from: none, payload: $0))
            }
        }
        return kept
    }

    /// A queue that is filled, sent and cut, and one that is read back again and again.
    @Test(arguments: UInt64(1)...30)
    func `is sent as it would have been, wherever the socket stopped`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        var text = MessageText()
        var messages = keptMessages()
        let kept = Backlog(now: 10)
        var moved = Backlog(now: 10)
        for step in 0..<200 {
            let comment: Comment = "seed \(seed), step \(step)"
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1:
                let segment = segment(using: &random)
                for backlog in [kept, moved] { backlog.append(.init(segment: segment, start: 0, end: segment.count)) }
            case 2:
                let segment = segment(using: &random)
                let start = Int.random(in: 0..<segment.count, using: &random)
                for backlog in [kept, moved] { backlog.append(copying: segment, from: start, to: segment.count) }
            case 3 where step % 20 == 3:
                let after = UInt64.random(in: 0..<200, using: &random)
                guard let slice = messages.slice(after: after, quotedChannel: Array("\"room\"".utf8)) else { continue }
                for backlog in [kept, moved] { backlog.append(missed: slice) }
            case 4:
                let limit = Int.random(in: 0...2_000, using: &random)
                #expect(kept.isOver(limit) == moved.isOver(limit), comment)
                let isOldest = Bool.random(using: &random)
                let dropped = [kept, moved].map { isOldest ? $0.dropOldest(limit: limit) : $0.dropNewest(limit: limit) }
                #expect(dropped[0] == dropped[1], comment)
            case 5:
                moved = try restored([moved], now: 50, then: 50)[0]
            default:
                let most = Int.random(in: 1...3_000, using: &random)
                #expect(take(most, from: kept, &text) == take(most, from: moved, &text), comment)
            }
            expectSame(kept, moved, comment)
        }
        while !kept.isEmpty { #expect(take(5_000, from: kept, &text) == take(5_000, from: moved, &text)) }
        #expect(moved.isEmpty)
    }

    @Test func `has a segment once, however many wait for it, and the time since the last progress`() throws {
        var random = Seeded(seed: 1)
        let segments = (0..<20).map { _ in segment(using: &random) }
        let backlogs = (0..<50).map { index in
            let backlog = Backlog(now: 100)
            for segment in segments.suffix(index) {
                backlog.append(.init(segment: segment, start: 0, end: segment.count))
            }
            return backlog
        }
        let bytes = write(backlogs, now: 130)
        #expect(bytes.count < segments.reduce(0) { $0 + $1.count } + 50 * 20 * 8)
        let before = frames.byteCount
        let after = try read(bytes, count: 50, now: 1_000)
        #expect(frames.byteCount == 2 * before, "counted once")
        #expect(after.allSatisfy { $0.progressAt == 970 })
        for (one, other) in zip(backlogs, after) { expectSame(one, other, "the same") }
    }

    @Test func `has a segment once, however many workers have written it`() throws {
        var random = Seeded(seed: 3)
        let (shared, other) = (segment(using: &random), segment(using: &random))
        let sections = (0..<3).map { worker in
            let backlog = Backlog(now: 0)
            for segment in worker == 1 ? [other, shared] : [shared] {
                backlog.append(.init(segment: segment, start: 0, end: segment.count))
            }
            return (backlog, write([backlog], now: 0))
        }
        let before = frames.byteCount
        let known = KnownSegments()
        var after: [Backlog] = []
        for (_, section) in sections { after += try read(section, count: 1, now: 5, known) }
        #expect(frames.byteCount == 2 * before && shared.count != other.count)
        var text = MessageText()
        for (one, other) in zip(sections.map(\.0), after) {
            expectSame(one, other, "the same")
            #expect(take(10_000, from: one, &text) == take(10_000, from: other, &text))
        }
    }

    @Test func `never traps on a damaged queue`() {
        var random = Seeded(seed: 2)
        var messages = keptMessages()
        let backlogs = (0..<2).map { _ in Backlog(now: 0) }
        let shared = segment(using: &random)
        for backlog in backlogs {
            for segment in [shared, segment(using: &random)] {
                backlog.append(.init(segment: segment, start: 0, end: segment.count))
            }
            backlog.append(copying: shared, from: 1, to: shared.count)
            if let slice = messages.slice(after: 195, quotedChannel: Array("\"room\"".utf8)) {
                backlog.append(missed: slice)
            }
        }
        backlogs[0].consume(1)
        var text = MessageText()
        var accepted = 0
        let held = (frames.byteCount, history.byteCount)
        write(backlogs, now: 0).damaged(3_000, seed: 6) { bytes in
            guard let read = try? read(bytes, count: 2, now: 5) else { return }
            accepted += 1
            _ = read[0].dropOldest(limit: 100)
            _ = read[1].dropNewest(limit: 100)
            for backlog in read {
                _ = backlog.isOver(10)
                var turns = 0
                while !backlog.isEmpty, turns < 1_000 {
                    _ = take(200, from: backlog, &text)
                    turns += 1
                }
                _ = backlog.dropAll()
            }
        }
        #expect(accepted > 0)
        withExtendedLifetime((backlogs, shared, messages)) {
            #expect(frames.byteCount == held.0 && history.byteCount == held.1)
        }
    }

    // MARK: Channels

    private func home(_ cost: HistoryCost, _ change: (inout ChannelSettings) -> Void = { _ in }) -> ChannelHome {
        var settings = ChannelSettings()
        settings.keepHistory(messageCount: 10, age: 1_000, byteCount: 1 << 20)
        settings.presence = true
        change(&settings)
        let home = ChannelHome(name: "room", settings: settings, frames: frames, history: cost)
        home.encodingsHere = .any(.json)
        return home
    }

    private func state(of home: ChannelHome) -> [UInt8] {
        var writer = StateWriter()
        var shared = SharedWriter<HistoryBlock>()
        home.write(to: &writer, &shared)
        return writer.bytes
    }

    private func restore(
        _ home: ChannelHome, from bytes: [UInt8], wasShared: Bool = false
    ) throws(StateError) {
        try bytes.reading { (state) throws(StateError) in
            var shared = SharedReader<HistoryBlock>()
            try home.restore(from: &state, &shared, generation: 9, wasShared: wasShared)
            try state.require(state.isAtEnd, "nothing is left")
        }
    }

    /// A channel with three members, two of them one user, and twelve messages.
    private func filled(_ cost: HistoryCost, _ text: inout MessageText) -> ChannelHome {
        let home = home(cost)
        for user in ["alice", "bob", "alice"] { #expect(home.enter(user, at: 100, &text)) }
        for number in 0..<12 {
            Array("\(number)".utf8).withUnsafeBytes {
                let publication = Publication(form: .chatJSON, opcode: .text, senderProtocol: .json, data: $0)
                _ = home.publish(publication, at: 200, &text) { _, _ in }
            }
        }
        _ = home.takeDelivery(at: 0)
        return home
    }

    @Test func `a channel goes on with its numbers, its history and its users`() throws {
        var text = MessageText()
        let costs = [HistoryCost(ByteMeter()), HistoryCost(ByteMeter())]
        let before = filled(costs[0], &text)
        let after = home(costs[1])
        try restore(after, from: state(of: before))
        let room = try #require(after.room)
        #expect(room.epoch == before.room?.epoch && room.seq == 12 && room.memberCount == 3)
        #expect(costs[1].byteCount == costs[0].byteCount && costs[1].byteCount > 0)
        #expect(after.countedSince == before.countedSince)
        let question = Question(
            subject: .history(before: nil, limit: 100),
            connection: ConnectionReference(worker: 0, slot: 0, generation: 0),
            id: [0x31])
        var answers: [[UInt8]] = []
        for home in [before, after] {
            home.answer(question, at: 300, &text)
            answers.append(text.bytes)
        }
        #expect(answers[0] == answers[1])
        #expect(room.presence.users.map(\.user) == ["alice", "bob"])
        let since = MessagePosition(epoch: room.epoch, seq: 5)
        guard case .joined(_, 12, true, let missed?) = after.place(since: since, at: 300) else {
            Issue.record("not recovered")
            return
        }
        #expect(missed.messageCount == 7)
    }

    @Test func `a channel whose members are counted differently now counts anew`() throws {
        var text = MessageText()
        let before = filled(HistoryCost(ByteMeter()), &text)
        let cost = HistoryCost(ByteMeter())
        let after = home(cost) {
            $0.presence = false
            $0.history = 2
        }
        try restore(after, from: state(of: before))
        #expect(after.room?.memberCount == 0 && after.room?.presence.isEmpty == true && after.countedSince == 9)
        #expect(after.room?.history.count == 2 && after.room?.seq == 12)
        let none = home(cost)
        try restore(none, from: state(of: home(cost)))
        #expect(none.room == nil)
    }

    @Test func `a channel whose numbers a broker gave goes on in another numbering without it`() throws {
        var text = MessageText()
        let before = filled(HistoryCost(ByteMeter()), &text)
        let after = home(HistoryCost(ByteMeter()))
        try restore(after, from: state(of: before), wasShared: true)
        let room = try #require(after.room)
        #expect(room.epoch != before.room?.epoch && room.seq == 12 && room.history.count == 10)
    }

    @Test func `never traps on a damaged channel`() {
        var text = MessageText()
        let cost = HistoryCost(ByteMeter())
        let bytes = state(of: filled(HistoryCost(ByteMeter()), &text))
        var accepted = 0
        bytes.damaged(5_000, seed: 8) { bytes in
            let home = home(cost)
            guard (try? restore(home, from: bytes)) != nil else { return }
            accepted += 1
            _ = home.enter("carol", at: 300, &text)
            home.leave("alice", isLost: true, at: 300, countedUnder: .max, &text)
            Array("1".utf8).withUnsafeBytes {
                let publication = Publication(form: .chatJSON, opcode: .text, senderProtocol: .json, data: $0)
                _ = home.publish(publication, at: 400, &text) { _, _ in }
            }
            _ = home.place(since: MessagePosition(epoch: home.room?.epoch ?? "", seq: 3), at: 500)
            home.expire(at: 1 << 50, &text)
        }
        #expect(accepted > 0 && cost.byteCount == 0 && cost.meter.byteCount == 0)
    }
}
