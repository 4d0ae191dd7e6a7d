import Testing

@testable import Channels

@Suite("Presence")
struct PresenceTests {
    /// `#expect` can't call what changes a value.
    private func check(_ isRight: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(isRight, sourceLocation: sourceLocation)
    }

    @Test func `is announced once for a user, not for each connection`() {
        var presence = Presence(leaveDelay: 1_000)
        check(presence.enter("a", at: 1))
        check(!presence.enter("a", at: 2))
        #expect(presence.users.map(\.connections) == [2])
        check(!presence.leave("a", at: 3, isLost: false))
        check(presence.leave("a", at: 4, isLost: false))
        #expect(presence.isEmpty && presence.users.isEmpty)
    }

    @Test func `outlives a reload, and since is the first time`() {
        var presence = Presence(leaveDelay: 1_000)
        check(presence.enter("a", at: 1))
        check(!presence.leave("a", at: 100, isLost: true))
        // Others have not heard of a leave, and will not hear of a return.
        #expect(presence.users.map(\.connections) == [0])
        #expect(presence.nextDeadline == 1_100)
        check(!presence.enter("a", at: 1_050))
        check(presence.expire(now: 2_000).isEmpty)
        #expect(presence.users.map(\.since) == [1])
        check(!presence.leave("a", at: 2_000, isLost: true))
        check(presence.expire(now: 2_999).isEmpty)
        check(presence.expire(now: 3_000) == ["a"])
        #expect(presence.isEmpty)
    }

    @Test func `of somebody unknown ends without harm`() {
        var presence = Presence(leaveDelay: 10)
        check(!presence.leave("x", at: 1, isLost: false))
        #expect(presence.connectionCount == 0)
    }

    /// Against a plain model: for every user the connections, and when the last one was lost.
    @Test(arguments: 1...20) func `is exact under any schedule`(seed: Int) {
        var random = Seeded(seed: UInt64(seed))
        let delay: Int64 = seed % 3 == 0 ? 0 : 50
        var presence = Presence(leaveDelay: delay)
        var connections: [String: Int] = [:]
        var lostAt: [String: Int64] = [:]
        var announced: Set<String> = []
        var now: Int64 = 0
        for _ in 0..<5_000 {
            now += Int64.random(in: 0...10, using: &random)
            for user in presence.expire(now: now) {
                let wasAnnounced = announced.remove(user) != nil
                let lost = lostAt.removeValue(forKey: user)
                #expect(wasAnnounced)
                #expect(lost.map { $0 + delay <= now } == true)
            }
            #expect(lostAt.values.allSatisfy { $0 + delay > now })
            let user = "u\(Int.random(in: 0..<8, using: &random))"
            if Bool.random(using: &random) {
                let isNews = presence.enter(user, at: now)
                #expect(isNews == !announced.contains(user))
                announced.insert(user)
                connections[user, default: 0] += 1
                lostAt[user] = nil
            } else if connections[user, default: 0] > 0 {
                let isLost = Bool.random(using: &random)
                let isNews = presence.leave(user, at: now, isLost: isLost)
                connections[user]! -= 1
                let isLast = connections[user] == 0
                #expect(isNews == (isLast && (!isLost || delay == 0)))
                if isNews { announced.remove(user) } else if isLast { lostAt[user] = now }
            }
            let here = connections.filter { $0.value > 0 || lostAt[$0.key] != nil }
            #expect(Dictionary(uniqueKeysWithValues: presence.users.map { ($0.user, $0.connections) }) == here)
            #expect(presence.connectionCount == here.values.reduce(0, +))
            #expect(presence.isEmpty == (here.isEmpty && lostAt.isEmpty))
        }
    }
}
