import Base
import Channels
import Settings
import Testing
import WebSocket

@testable import Engine

/// The pieces of a connection that is written down by one process and read by another, whose clock is at other ticks.
@Suite("A connection's state")
struct ConnectionStateTests {
    private func write(_ body: (inout StateWriter) -> Void) -> [UInt8] {
        var writer = StateWriter()
        body(&writer)
        return writer.bytes
    }

    // MARK: Rate bucket

    @Test(arguments: UInt64(1)...20)
    func `lets as many messages pass as the bucket of before`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        var kept = RateBucket(holding: 10, now: 100)
        var moved = kept
        var now: UInt32 = 100
        for step in 0..<300 {
            now &+= UInt32.random(in: 0...5, using: &random)
            let isAllowed = kept.take(rate: 5, most: 10, now: now)
            // The next process counts from another tick.
            let state = write { moved.write(to: &$0, now: now) }
            var other = try state.reading { (state) throws(StateError) in try RateBucket(from: &state, now: 7) }
            #expect(other.take(rate: 5, most: 10, now: 7) == isAllowed, "seed \(seed), step \(step)")
            moved = kept
        }
    }

    // MARK: Session

    private func session(using random: inout Seeded) -> Session {
        let grants = (0..<Int.random(in: 0...3, using: &random)).map {
            Grant(
                pattern: ChannelPattern("room:\($0):*"), subscribe: Bool.random(using: &random),
                publish: Bool.random(using: &random))
        }
        let expiresAt = Bool.random(using: &random) ? Int64.random(in: 0 ... .max, using: &random) : nil
        let user = Bool.random(using: &random) ? "müller \(Int.random(in: 0...99, using: &random))" : nil
        var session = Session(
            identity: Identity(user: user, grants: grants, expiresAt: expiresAt),
            errorBucket: RateBucket(holding: Int.random(in: 0...60, using: &random), now: 50), expiresAt: 77)
        session.isAskedToRefresh = Bool.random(using: &random)
        for channel in 0..<UInt32.random(in: 0...5, using: &random) {
            session.memberships.enter(
                Membership(
                    channel: channel + 10, position: channel, generation: UInt32.random(in: 0 ... .max, using: &random),
                    startSeq: UInt64.random(in: 0 ... .max, using: &random),
                    droppedBefore: UInt32.random(in: 0 ... .max, using: &random)))
        }
        return session
    }

    private func read(_ bytes: [UInt8]) throws(StateError) -> Session {
        try bytes.reading { (state) throws(StateError) in
            let session = try Session(from: &state, now: 50, channelCount: 20) { _ in 78 }
            try state.require(state.isAtEnd, "nothing is left")
            return session
        }
    }

    @Test(arguments: UInt64(1)...40)
    func `has the user, the permissions and the channels of before`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        let before = session(using: &random)
        let after = try read(write { before.write(to: &$0, now: 50) { $0 - 10 } })
        #expect(after.identity.user == before.identity.user && after.identity.expiresAt == before.identity.expiresAt)
        #expect(after.identity.grants == before.identity.grants, "seed \(seed)")
        #expect(after.errorBucket == before.errorBucket && after.isAskedToRefresh == before.isAskedToRefresh)
        #expect(after.expiresAt == 78 && after.answeringHome == nil)
        #expect(after.memberships.all.map(\.channel) == before.memberships.all.map { $0.channel - 10 }, "seed \(seed)")
        #expect(after.memberships.all.map(\.generation) == before.memberships.all.map(\.generation))
        #expect(after.memberships.all.map(\.startSeq) == before.memberships.all.map(\.startSeq))
        #expect(after.memberships.all.map(\.droppedBefore) == before.memberships.all.map(\.droppedBefore))
        #expect(after.memberships.all.allSatisfy { $0.state == .joining })
    }

    @Test func `never traps on a damaged session`() {
        var accepted = 0
        for seed in UInt64(1)...10 {
            var random = Seeded(seed: seed)
            let before = session(using: &random)
            write { before.write(to: &$0, now: 50) { $0 - 10 } }.damaged(1_000, seed: seed) { bytes in
                guard let session = try? read(bytes) else { return }
                accepted += 1
                _ = session.identity.maySubscribe(to: "room:1:x", ChannelSettings())
            }
        }
        #expect(accepted > 0)
    }

    // MARK: Input

    /// Input in the middle of a fragmented message, with a message that waits and bytes behind it.
    private func input() -> PartialInput {
        var input = PartialInput()
        input.deferred = PartialInput.Deferred(opcode: .binary, payload: Array(1...200))
        input.unfinishedSince = 90
        var bytes: [UInt8] =
            [0x01, 0x85, 0, 0, 0, 0] + Array("hello".utf8) + [0x80, 0x86, 0, 0, 0, 0] + Array(" wor".utf8)
        bytes.withUnsafeMutableBytes { buffer in
            var rest = buffer
            guard case .needsMore = input.reader.next(&rest, limits: limits) else {
                Issue.record("the message is whole")
                return
            }
        }
        var behind = Array("ld".utf8) + [0x89, 0x80, 0, 0, 0, 0]
        behind.withUnsafeMutableBytes { input.held.keep($0) }
        return input
    }

    private let limits = FrameReader.Limits(maximumMessageByteCount: 1_000)

    @Test func `goes on with the input of before`() throws {
        let state = write { input().write(to: &$0, now: 100) }
        try state.reading { (state) throws(StateError) in
            var after = try PartialInput(from: &state, now: 1_000)
            #expect(state.isAtEnd && after.unfinishedSince == 990 && after.counted == 0)
            #expect(after.deferred?.opcode == .binary && after.deferred?.payload == Array(1...200))
            var rest = after.held.bytes
            guard case .message(.text, let payload, false) = after.reader.next(&rest, limits: limits) else {
                Issue.record("no message")
                return
            }
            #expect(String(decoding: payload, as: UTF8.self) == "hello world")
            guard case .ping = after.reader.next(&rest, limits: limits) else {
                Issue.record("no ping")
                return
            }
            #expect(rest.isEmpty)
        }
        let idle = write { PartialInput().write(to: &$0, now: 100) }
        let isIdle = try idle.reading { (state) throws(StateError) in
            let after = try PartialInput(from: &state, now: 5)
            return after.isIdle && after.unfinishedSince == Slab.never
        }
        #expect(isIdle)
    }

    @Test func `never traps on damaged input`() {
        var accepted = 0
        write { input().write(to: &$0, now: 100) }.damaged(5_000, seed: 11) { bytes in
            try? bytes.reading { (state) throws(StateError) in
                var after = try PartialInput(from: &state, now: 1_000)
                accepted += 1
                var rest = after.held.bytes
                for _ in 0..<20 {
                    if case .needsMore = after.reader.next(&rest, limits: limits) { return }
                }
            }
        }
        #expect(accepted > 0)
    }
}
