package import Base

/// The users in a channel: connections are counted by user, and each user is announced once.
///
/// A user whose last connection broke has left only after `leaveDelay` has passed without a return, so that a page
/// reload is no leave. Until then, the user is listed with no connections, because the members have been told of no
/// leave and will be told of no return. Times are milliseconds since 1970.
package struct Presence: Sendable {
    private struct Entry {
        var connections: Int
        var since: Int64
        /// The time at which the user counts as gone; only without connections.
        var leavesAt: Int64?
    }

    private var entries: [Name: Entry] = [:]
    /// The users that may come back, in the order of their deadlines. An entry may be out of date.
    private var returning: [(user: Name, leavesAt: Int64)] = []
    /// The delay in milliseconds; a new value applies to users that leave from then on.
    package var leaveDelay: Int64
    /// The number of connections of all users.
    package private(set) var connectionCount = 0

    /// - Parameter leaveDelay: milliseconds.
    package init(leaveDelay: Int64) { self.leaveDelay = leaveDelay }

    /// Whether no user is present and none may come back.
    package var isEmpty: Bool { entries.isEmpty }

    /// The time at which `expire` is due next. It may find no user to remove then.
    package var nextDeadline: Int64? { returning.first?.leavesAt }

    /// Whether a user is present, or may come back.
    package func contains(_ user: String) -> Bool { entries[Name(user)] != nil }

    /// Adds a connection of a user. True if the other members have to be told that the user has come.
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

    /// Removes a connection of a user. True if the other members have to be told that the user has gone.
    ///
    /// - Parameter isLost: the connection broke, so that the user may be back in a moment.
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

    /// Removes the users that have not come back in time, and returns them in the order in which they left.
    package mutating func expire(now: Int64) -> [String] {
        // The list is in order as long as the clock goes forward and the delay isn't made shorter; otherwise some users
        // stay longer.
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

    // MARK: State

    /// Writes the users. The leave delay is a setting, and no part of it.
    package func write(to state: inout StateWriter) {
        var leaving: [Name: Int64] = [:]
        for (user, leavesAt) in returning where entries[user]?.leavesAt == leavesAt { leaving[user] = leavesAt }
        state.write(count: entries.count - leaving.count)
        for (user, entry) in entries where leaving[user] == nil {
            state.write(user.text)
            state.write(count: entry.connections)
            state.write(time: entry.since)
        }
        state.write(count: leaving.count)
        // In the order of their deadlines, each once.
        for (user, leavesAt) in returning where leaving[user] == leavesAt {
            leaving[user] = nil
            state.write(user.text)
            state.write(time: entries[user]?.since)
            state.write(time: leavesAt)
        }
    }

    package init(from state: inout StateReader, leaveDelay: Int64) throws(StateError) {
        self.init(leaveDelay: leaveDelay)
        for _ in 0..<(try state.elementCount(ofAtLeast: 3)) {
            let (user, connections) = (Name(try state.text()), try state.count(atMost: Int(Int32.max)))
            try state.require(connections > 0, "a user without a connection")
            connectionCount += connections
            try add(user, connections: connections, leavesAt: nil, from: &state)
        }
        for _ in 0..<(try state.elementCount(ofAtLeast: 3)) {
            let user = Name(try state.text())
            try add(user, connections: 0, leavesAt: 0, from: &state)
            guard let leavesAt = try state.time() else { throw state.error("a user who leaves at no time") }
            entries[user]?.leavesAt = leavesAt
            returning.append((user, leavesAt))
        }
    }

    private mutating func add(
        _ user: Name, connections: Int, leavesAt: Int64?, from state: inout StateReader
    ) throws(StateError) {
        guard let since = try state.time() else { throw state.error("a user since no time") }
        let known = entries.updateValue(
            Entry(connections: connections, since: since, leavesAt: leavesAt), forKey: user)
        try state.require(known == nil, "a user who is there twice")
    }

    /// The users that are present or may come back, in the order in which they came.
    package var users: [(user: String, connections: Int, since: Int64)] {
        entries.lazy
            .map { (user: $0.key.text, connections: $0.value.connections, since: $0.value.since) }
            .sorted { ($0.since, Name($0.user)) < ($1.since, Name($1.user)) }
    }
}
