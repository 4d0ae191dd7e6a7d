import Base
import Testing

@testable import Channels

@Suite("Presence that is written down")
struct PresenceStateTests {
    private func state(of presence: Presence) -> [UInt8] {
        var writer = StateWriter()
        presence.write(to: &writer)
        return writer.bytes
    }

    private func restored(_ bytes: [UInt8], leaveDelay: Int64) throws(StateError) -> Presence {
        try bytes.reading { (state) throws(StateError) in
            let presence = try Presence(from: &state, leaveDelay: leaveDelay)
            try state.require(state.isAtEnd, "nothing is left")
            return presence
        }
    }

    private func rows(_ presence: Presence) -> [String] {
        presence.users.map { "\($0.user) \($0.connections) \($0.since)" }
    }

    /// Users come, go and come back, once in the presence itself and once in one that is read back again and again.
    @Test(arguments: UInt64(1)...30)
    func `goes on as if nothing had happened`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        let delay = Int64.random(in: 0...50, using: &random)
        var kept = Presence(leaveDelay: delay)
        var moved = Presence(leaveDelay: delay)
        var now: Int64 = 1_000
        for step in 0..<400 {
            now += Int64.random(in: 0...10, using: &random)
            let user = "u\(Int.random(in: 0..<6, using: &random))"
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                let isNew = kept.enter(user, at: now)
                #expect(moved.enter(user, at: now) == isNew, "seed \(seed), step \(step)")
            case 1:
                let isLost = Bool.random(using: &random)
                let isGone = kept.leave(user, at: now, isLost: isLost)
                #expect(moved.leave(user, at: now, isLost: isLost) == isGone, "seed \(seed), step \(step)")
            default:
                let gone = kept.expire(now: now)
                #expect(moved.expire(now: now) == gone, "seed \(seed), step \(step)")
            }
            // The other has entries that are out of date, too.
            if step.isMultiple(of: 7) { #expect(rows(try restored(state(of: kept), leaveDelay: delay)) == rows(kept)) }
            moved = try restored(state(of: moved), leaveDelay: delay)
            #expect(rows(moved) == rows(kept), "seed \(seed), step \(step)")
            #expect(moved.connectionCount == kept.connectionCount && moved.isEmpty == kept.isEmpty)
        }
    }

    @Test func `never traps on a damaged state`() {
        var presence = Presence(leaveDelay: 100)
        for index in 0..<30 {
            _ = presence.enter("user \(index % 20)", at: Int64(index))
            if index % 3 == 0 { _ = presence.leave("user \(index)", at: Int64(index), isLost: true) }
        }
        var accepted = 0
        state(of: presence).damaged(5_000, seed: 3) { bytes in
            guard var read = try? restored(bytes, leaveDelay: 100) else { return }
            accepted += 1
            _ = read.users
            _ = read.leave("user 1", at: 500, isLost: true)
            _ = read.enter("user 2", at: 500)
            _ = read.expire(now: .max)
        }
        #expect(accepted > 0)
    }
}
