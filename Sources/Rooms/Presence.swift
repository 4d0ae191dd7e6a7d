/// Who is in a channel: connections counted by user, users announced once.
///
/// A user whose last connection broke is only gone when `leaveDelay` has passed without a return, so that a reload is no
/// leave. Until then such a user is listed with no connections: who follows what is announced has not heard of a leave, and
/// will not hear of a return. Times are milliseconds since 1970.
package struct Presence: Sendable {
    private struct Entry {
        var connections: Int
        var since: Int64
        /// When the user counts as gone; only without connections.
        var leavesAt: Int64?
    }

    private var entries: [Name: Entry] = [:]
    /// Those that may come back, in the order in which they are given up. An entry may be out of date.
    private var returning: [(user: Name, leavesAt: Int64)] = []
    /// Milliseconds; another one holds for those who leave from then on.
    package var leaveDelay: Int64
    /// Connections of all users.
    package private(set) var connectionCount = 0

    /// - Parameter leaveDelay: milliseconds.
    package init(leaveDelay: Int64) { self.leaveDelay = leaveDelay }

    /// Whether nobody is here and nobody may come back.
    package var isEmpty: Bool { entries.isEmpty }

    /// When somebody is to be given up; it may turn out then that nobody is.
    package var nextDeadline: Int64? { returning.first?.leavesAt }

    /// A connection of a user comes. True where others are to be told that the user is here.
    package mutating func enter(_ user: String, at now: Int64) -> Bool {
        connectionCount += 1
        let user = Name(user)
        if entries[user] != nil {
            entries[user]!.connections += 1
            entries[user]!.leavesAt = nil
            return false
        }
        entries[user] = Entry(connections: 1, since: now, leavesAt: nil)
        return true
    }

    /// A connection of a user goes. True where others are to be told that the user is gone.
    ///
    /// - Parameter isLost: it broke, so that the user may be back in a moment.
    package mutating func leave(_ user: String, at now: Int64, isLost: Bool) -> Bool {
        let user = Name(user)
        guard let entry = entries[user], entry.connections > 0 else { return false }
        connectionCount -= 1
        guard entry.connections == 1 else {
            entries[user]!.connections -= 1
            return false
        }
        guard isLost, leaveDelay > 0 else {
            entries[user] = nil
            return true
        }
        entries[user]!.connections = 0
        entries[user]!.leavesAt = now + leaveDelay
        returning.append((user, now + leaveDelay))
        return false
    }

    /// Gives up those who have not come back in time, and returns them in the order in which they went.
    package mutating func expire(now: Int64) -> [String] {
        // The list is in order as long as the clock goes forward and the delay isn't made shorter; then some stay longer.
        let due = returning.prefix { $0.leavesAt <= now }
        guard !due.isEmpty else { return [] }
        var gone: [String] = []
        for (user, leavesAt) in due where entries[user]?.leavesAt == leavesAt {
            entries[user] = nil
            gone.append(user.text)
        }
        returning.removeFirst(due.count)
        return gone
    }

    /// Those who are here or may come back, in the order in which they came.
    package var users: [(user: String, connections: Int, since: Int64)] {
        entries.lazy
            .map { (user: $0.key.text, connections: $0.value.connections, since: $0.value.since) }
            .sorted { ($0.since, Name($0.user)) < ($1.since, Name($1.user)) }
    }
}
