import Base
import Broker

/// The users in the channels of one partition, on all nodes, as everybody finds them who reads it.
///
/// The first node that a user comes to announces that by the order of the log, and so does the last one that the user
/// leaves: all readers see the same, and no node has to ask. It does no I/O.
struct LogUsers {
    private struct Presence {
        var since: Int64
        var isAnnounced: Bool
    }

    /// A user who came to a channel, or left it, on all nodes.
    struct Announcement: Equatable {
        var channel: Name
        var user: Name
        var isPresent: Bool
        /// In milliseconds since 1970.
        var time: Int64
    }

    private struct Key: Hashable {
        var channel: Name
        var user: Name
    }

    private var channels: [Name: [Name: [NodeID: Presence]]] = [:]
    /// The users that each node has.
    private var keys: [NodeID: Set<Key>] = [:]
    /// The users that a node has not said again yet, since it began to say them all.
    private var unsaid: [NodeID: Set<Key>] = [:]

    /// The nodes that have users.
    var nodes: some Collection<NodeID> { keys.keys }

    /// Takes changes of one node, and returns what is to be announced.
    mutating func change(_ changes: [LogRecord.UserChange], of node: NodeID) -> [Announcement] {
        changes.compactMap { change in
            let channel = Name(change.channel)
            let user = Name(change.user)
            if change.isPresent {
                let isFirst = channels[channel]?[user] == nil
                channels[channel, default: [:]][user, default: [:]][node] = Presence(
                    since: change.time, isAnnounced: change.isAnnounced)
                let key = Key(channel: channel, user: user)
                keys[node, default: []].insert(key)
                unsaid[node]?.remove(key)
                guard isFirst, change.isAnnounced else { return nil }
            } else {
                guard remove(channel, user, node) != nil, channels[channel]?[user] == nil, change.isAnnounced else {
                    return nil
                }
            }
            return Announcement(channel: channel, user: user, isPresent: change.isPresent, time: change.time)
        }
    }

    /// Takes users that a node says again. They are not announced: whoever heard of them before was told.
    mutating func say(_ users: [LogRecord.UserChange], of node: NodeID, isFirst: Bool, isLast: Bool) {
        if isFirst { unsaid[node] = keys[node] ?? [] }
        _ = change(users.filter(\.isPresent), of: node)
        guard isLast else { return }
        for key in unsaid.removeValue(forKey: node) ?? [] { _ = remove(key.channel, key.user, node) }
    }

    /// Removes all users of a node, and returns what is to be announced.
    mutating func remove(_ node: NodeID, at time: Int64) -> [Announcement] {
        unsaid[node] = nil
        return (keys[node] ?? []).sorted { ($0.channel, $0.user) < ($1.channel, $1.user) }.compactMap { key in
            guard let presence = remove(key.channel, key.user, node), presence.isAnnounced,
                channels[key.channel]?[key.user] == nil
            else { return nil }
            return Announcement(channel: key.channel, user: key.user, isPresent: false, time: time)
        }
    }

    private mutating func remove(_ channel: Name, _ user: Name, _ node: NodeID) -> Presence? {
        guard let presence = channels[channel]?[user]?.removeValue(forKey: node) else { return nil }
        if channels[channel]?[user]?.isEmpty == true { channels[channel]?[user] = nil }
        if channels[channel]?.isEmpty == true { channels[channel] = nil }
        keys[node]?.remove(Key(channel: channel, user: user))
        if keys[node]?.isEmpty == true { keys[node] = nil }
        return presence
    }

    /// The users of a channel, in the order of their names.
    func members(of channel: Name) -> [BrokerMember] {
        (channels[channel] ?? [:]).sorted { $0.key < $1.key }.map { user, nodes in
            BrokerMember(user: user.text, nodeCount: nodes.count, since: nodes.values.lazy.map(\.since).min() ?? 0)
        }
    }
}
