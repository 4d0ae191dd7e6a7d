import Base
import Broker
import NIOCore

/// The users on this node, and what the server has been told of them.
///
/// What is wanted is kept, and written until the server has it: a change that was lost is written again, and only the
/// last of several counts. The scripts make that safe: the node that a user comes to first announces it, once.
final class PresenceKeeper {
    /// What is wanted for a user in a channel.
    private struct Wish {
        var since: Int64
        var isPresent: Bool
        var isAnnounced: Bool
        /// Whether the others know already, so that writing it again must not announce it.
        var isSilent = false
        /// Whether the server has to be told, and whether it is being told.
        var isDue = true
        var isUnderWay = false
    }

    private struct ChannelUsers {
        var wishes: [Name: Wish] = [:]
        /// Whether the channel is in the set of this node's channels.
        var isListed = false
    }

    private static let windowCount = 256
    private static let retryPause: TimeAmount = .milliseconds(500)
    /// The life of the keys in seconds; they are used again long before.
    static let keyLife: Int64 = 2 * 86_400

    private unowned let shard: RedisShard
    private var channels: [Name: ChannelUsers] = [:]
    private var queue = CircularBuffer<(channel: Name, user: Name)>()
    private var underWayCount = 0
    private var isRetryScheduled = false
    private var whenEmpty: (() -> Void)?
    /// Whether this node's lease is held: before, others could not know when its users are gone.
    private(set) var isAllowed = false

    init(_ shard: RedisShard) { self.shard = shard }

    var channelNames: [Name] { Array(channels.keys) }
    var isEmpty: Bool { channels.isEmpty }

    func change(_ change: PresenceChange) {
        let channel = Name(change.channel)
        let user = Name(change.user)
        let wish = channels[channel]?.wishes[user]
        if !change.isPresent, wish == nil { return }
        channels[channel, default: ChannelUsers()].wishes[user] = Wish(
            since: change.time, isPresent: change.isPresent, isAnnounced: change.isAnnounced,
            isUnderWay: wish?.isUnderWay ?? false)
        queue.append((channel, user))
    }

    /// Lets the users be written, as this node's lease is held now.
    func allow() {
        isAllowed = true
        pump()
    }

    /// Writes all users again, because the server has lost them or others took this node for gone.
    func writeAgain(isSilent: Bool) {
        for (channel, users) in channels {
            channels[channel]?.isListed = false
            for (user, wish) in users.wishes where wish.isPresent {
                channels[channel]?.wishes[user]?.isDue = true
                channels[channel]?.wishes[user]?.isSilent = isSilent
                queue.append((channel, user))
            }
        }
        pump()
    }

    /// Removes all users from the server, and calls `body` when that is done.
    func withdraw(then body: @escaping () -> Void) {
        let now = WallClock.milliseconds()
        for (channel, users) in channels {
            for (user, wish) in users.wishes where wish.isPresent {
                channels[channel]?.wishes[user]?.isPresent = false
                channels[channel]?.wishes[user]?.since = now
                channels[channel]?.wishes[user]?.isDue = true
                queue.append((channel, user))
            }
        }
        whenEmpty = body
        pump()
        checkEmpty()
    }

    func pump() {
        guard isAllowed, !isRetryScheduled else { return }
        while underWayCount < Self.windowCount, let connection = shard.commands.ready, let next = queue.popFirst() {
            guard let wish = channels[next.channel]?.wishes[next.user], wish.isDue, !wish.isUnderWay else { continue }
            write(wish, next.channel, next.user, connection)
        }
    }

    private func write(_ wish: Wish, _ channel: Name, _ user: Name, _ connection: RedisConnection) {
        let keys = shard.keys
        channels[channel]?.wishes[user]?.isDue = false
        channels[channel]?.wishes[user]?.isUnderWay = true
        underWayCount += 1
        let all = [keys.users(channel.text), keys.userCounts(channel.text), keys.meta(channel.text)]
        let field = Self.field(of: shard.options.node, user.text)
        let replied: (RedisConnection.Reply) -> Void = { [self] in self.replied($0, channel, user) }
        if wish.isPresent {
            list(channel, connection)
            shard.run(
                .enter, keys: all,
                [
                    .text(field), .text(user.text), .number(wish.since), .text(keys.live(channel.text)),
                    .bytes(Self.publication(.join, user.text, wish.since)), wish.isAnnounced ? "1" : "0",
                    wish.isAnnounced && !wish.isSilent ? "1" : "0", .number(Self.keyLife),
                ], on: connection, reply: replied)
        } else {
            shard.run(
                .leave, keys: all,
                [
                    .text(field), .text(user.text), .text(keys.live(channel.text)),
                    .bytes(Self.publication(.leave, user.text, wish.since)), wish.isAnnounced ? "1" : "0",
                ], on: connection, reply: replied)
        }
    }

    /// Puts a channel in the set by which others find this node's users when it is gone: before the first is written.
    private func list(_ channel: Name, _ connection: RedisConnection) {
        guard channels[channel]?.isListed == false else { return }
        channels[channel]?.isListed = true
        connection.send(["SADD", .text(shard.keys.nodeChannels(shard.options.node)), .text(channel.text)]) {
            [weak self] reply in
            if case .value = reply { return }
            self?.channels[channel]?.isListed = false
        }
    }

    private func replied(_ reply: RedisConnection.Reply, _ channel: Name, _ user: Name) {
        underWayCount -= 1
        channels[channel]?.wishes[user]?.isUnderWay = false
        var isRefused = false
        if case .error(let error) = reply {
            shard.noteFault(error)
            isRefused = true
        }
        if case .value = reply {
            if let wish = channels[channel]?.wishes[user] {
                if wish.isDue { queue.append((channel, user)) } else if !wish.isPresent { remove(user, channel) }
            }
        } else {
            channels[channel]?.wishes[user]?.isDue = true
            queue.append((channel, user))
        }
        if isRefused { pumpLater() } else { pump() }
    }

    private func remove(_ user: Name, _ channel: Name) {
        channels[channel]?.wishes[user] = nil
        guard channels[channel]?.wishes.isEmpty == true else { return }
        channels[channel] = nil
        shard.commands.ready?.send([
            "SREM", .text(shard.keys.nodeChannels(shard.options.node)), .text(channel.text),
        ]) { _ in }
        checkEmpty()
    }

    private func checkEmpty() {
        guard channels.isEmpty, let body = whenEmpty else { return }
        whenEmpty = nil
        body()
    }

    private func pumpLater() {
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        shard.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isRetryScheduled = false
            self?.pump()
        }
    }

    /// The field of a user on a node.
    static func field(of node: NodeID, _ user: String) -> String { "\(node)\0\(user)" }

    /// The announcement of a user who came or left.
    static func publication(_ kind: CarriedPublication.Kind, _ user: String, _ time: Int64) -> [UInt8] {
        var writer = PublicationWriter()
        var user = user
        user.withUTF8 { name in
            writer.append(
                CarriedPublication(
                    kind, time: time, user: UnsafeRawBufferPointer(name),
                    payload: UnsafeRawBufferPointer(start: nil, count: 0)))
        }
        return writer.bytes
    }

    /// The users in the hash of a channel.
    static func members(_ value: RESPValue) -> [BrokerMember]? {
        guard let parts = value.elements else { return nil }
        var members: [Name: BrokerMember] = [:]
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            guard let field = parts[index].text, let separator = field.utf8.firstIndex(of: 0),
                let value = parts[index + 1].text
            else { continue }
            let user = String(field[field.utf8.index(after: separator)...])
            let since = Int64(value.prefix { $0 != ":" }) ?? 0
            var member = members[Name(user)] ?? BrokerMember(user: user, nodeCount: 0, since: since)
            member.nodeCount += 1
            member.since = min(member.since, since)
            members[Name(user)] = member
        }
        return members.sorted { $0.key < $1.key }.map(\.value)
    }
}
