import Base
import Broker
import BrokerSupport
import CLinux
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
        /// Whether the server may have the user.
        var mayBeThere: Bool
        /// Whether the user is in the queue, or waits to be.
        var isQueued = false
    }

    private enum Listing { case none, asked, done }

    private struct ChannelUsers {
        var wishes: [Name: Wish] = [:]
        /// Whether the channel is in the set of this node's channels, by which others find its users when it is gone.
        var listing = Listing.none
        /// The users who are written as soon as it is.
        var unlisted: [Name] = []
    }

    private static let windowCount = 256
    private static let retryPause: TimeAmount = .milliseconds(500)
    /// The life of the keys in seconds; they are used again long before.
    static let keyLife: Int64 = 2 * 86_400

    private unowned let router: any RedisRouter
    private var channels: [Name: ChannelUsers] = [:]
    private var queue = CircularBuffer<(channel: Name, user: Name)>()
    /// The number of users in the queue, or waiting to be, who left before the server was told of them.
    private var forgottenCount = 0
    /// The users who wait for a server that can't be reached, or for a subscription: else the members of the channel here
    /// would not hear of them.
    private var stuck: [Name: [Name]] = [:]
    private var underWayCount = 0
    private var isRetryScheduled = false
    private var whenEmpty: (() -> Void)?
    /// Removes those whose leaving the server has forgotten.
    private var removal: NodeRemoval?
    /// Whether this node's lease is held: before, others could not know when its users are gone.
    private(set) var isAllowed = false

    init(_ router: any RedisRouter) { self.router = router }

    var channelNames: [Name] { Array(channels.keys) }
    var isEmpty: Bool { channels.isEmpty }

    func change(_ change: PresenceChange) {
        let channel = Name(change.channel)
        let user = Name(change.user)
        let wish = channels[channel]?.wishes[user]
        if !change.isPresent {
            guard let wish else { return }
            if !wish.mayBeThere { return forget(user, channel) }
        }
        channels[channel, default: ChannelUsers()].wishes[user] = Wish(
            since: change.time, isPresent: change.isPresent, isAnnounced: change.isAnnounced, isSilent: change.isSilent,
            isUnderWay: wish?.isUnderWay ?? false, mayBeThere: wish?.mayBeThere ?? change.isSilent,
            isQueued: wish?.isQueued ?? false)
        enqueue(user, channel)
    }

    /// Has a user written, once, however often that is asked for before it happens.
    private func enqueue(_ user: Name, _ channel: Name) {
        guard channels[channel]?.wishes[user]?.isQueued == false else { return }
        channels[channel]?.wishes[user]?.isQueued = true
        queue.append((channel, user))
    }

    /// Forgets a user of whom the server was never told. Any number may come and go while it is away.
    private func forget(_ user: Name, _ channel: Name) {
        if channels[channel]?.wishes[user]?.isQueued ?? false { forgottenCount += 1 }
        remove(user, channel)
        guard forgottenCount > 1_024, forgottenCount > queue.count / 2 else { return }
        forgottenCount = 0
        func isKept(_ channel: Name, _ user: Name) -> Bool {
            guard channels[channel]?.wishes[user]?.isQueued ?? false else { return false }
            // Once.
            channels[channel]?.wishes[user]?.isQueued = false
            return true
        }
        queue.removeAll { !isKept($0.channel, $0.user) }
        for (channel, users) in stuck { stuck[channel] = users.filter { isKept(channel, $0) } }
        stuck = stuck.filter { !$0.value.isEmpty }
        for (channel, user) in queue { channels[channel]?.wishes[user]?.isQueued = true }
        for (channel, users) in stuck {
            for user in users { channels[channel]?.wishes[user]?.isQueued = true }
        }
    }

    /// Lets the users be written, as this node's lease is held now.
    func allow() {
        isAllowed = true
        pump()
    }

    /// Goes on with what waits for a server, as there is a connection.
    func connected() {
        for (channel, users) in stuck { queue.append(contentsOf: users.map { (channel, $0) }) }
        stuck = [:]
        pump()
    }

    /// Goes on with what waits for a channel's subscription.
    func ready(_ channel: Name) {
        guard let users = stuck.removeValue(forKey: channel) else { return }
        queue.append(contentsOf: users.map { (channel, $0) })
        pump()
    }

    /// Whether users of this node are announced in a channel.
    func announces(_ channel: Name) -> Bool { channels[channel]?.wishes.values.contains(where: \.isAnnounced) ?? false }

    /// Writes users again, because the server has lost them or others took this node for gone.
    ///
    /// - Parameter isSilent: whether the others know those of whom the server was told. Those of whom it was not, or of
    ///   whom it did not answer, are announced if it does not have them.
    func writeAgain(isSilent: Bool, where isMeant: (Name) -> Bool = { _ in true }) {
        for (channel, users) in channels where isMeant(channel) {
            channels[channel]?.listing = .none
            for (user, wish) in users.wishes where wish.isPresent {
                channels[channel]?.wishes[user]?.isDue = true
                if !wish.isDue || !isSilent { channels[channel]?.wishes[user]?.isSilent = isSilent }
                enqueue(user, channel)
            }
        }
        pump()
    }

    /// Removes the users of this node whose leaving the server has forgotten.
    func removeForgotten() {
        guard removal == nil else { return }
        let removal = NodeRemoval(router, router.options.node) { [weak self] channel, user in
            self?.channels[channel]?.wishes[user] != nil
        } done: { [weak self] in
            self?.removal = nil
        }
        self.removal = removal
        removal.start()
    }

    /// Removes all users from the server, and calls `body` when that is done.
    func withdraw(then body: @escaping () -> Void) {
        let now = clinux_realtime_milliseconds()
        for (channel, users) in channels {
            for (user, wish) in users.wishes where wish.isPresent {
                channels[channel]?.wishes[user]?.isPresent = false
                channels[channel]?.wishes[user]?.since = now
                channels[channel]?.wishes[user]?.isDue = true
                enqueue(user, channel)
            }
        }
        whenEmpty = body
        connected()
        checkEmpty()
    }

    func pump() {
        guard isAllowed, !isRetryScheduled, router.isReachable else { return }
        while !isRetryScheduled, underWayCount < Self.windowCount, let next = queue.popFirst() {
            let (channel, user) = next
            channels[channel]?.wishes[user]?.isQueued = false
            guard let users = channels[channel], let wish = users.wishes[user], wish.isDue, !wish.isUnderWay else {
                continue
            }
            if !router.isReady(for: channel, isHeard: whenEmpty == nil) {
                channels[channel]?.wishes[user]?.isQueued = true
                stuck[channel, default: []].append(user)
            } else if wish.isPresent, users.listing != .done {
                channels[channel]?.wishes[user]?.isQueued = true
                channels[channel]?.unlisted.append(user)
                if users.listing == .none { list(channel) }
            } else {
                write(wish, channel, user)
            }
        }
    }

    private func write(_ wish: Wish, _ channel: Name, _ user: Name) {
        let keys = router.keys
        channels[channel]?.wishes[user]?.isDue = false
        channels[channel]?.wishes[user]?.isUnderWay = true
        channels[channel]?.wishes[user]?.mayBeThere = true
        underWayCount += 1
        let all = [keys.users(channel.text), keys.userCounts(channel.text), keys.meta(channel.text)]
        let field = Self.field(of: router.options.node, user.text)
        let replied: (RedisConnection.Reply) -> Void = { [self] in self.replied($0, channel, user) }
        if wish.isPresent {
            router.run(
                .enter, keys: all,
                [
                    .text(field), .text(user.text), .number(wish.since), .text(keys.live(channel.text)),
                    .bytes(PublicationWriter.announcement(.join, user.text, wish.since)), wish.isAnnounced ? "1" : "0",
                    wish.isAnnounced && !wish.isSilent ? "1" : "0", .number(Self.keyLife),
                    .text(keys.publishCommand),
                ], reply: replied)
        } else {
            router.run(
                .leave, keys: all,
                [
                    .text(field), .text(user.text), .text(keys.live(channel.text)),
                    .bytes(PublicationWriter.announcement(.leave, user.text, wish.since)), wish.isAnnounced ? "1" : "0",
                    .text(keys.publishCommand),
                ], reply: replied)
        }
    }

    /// Puts a channel in the set of this node's channels, before its first user is written.
    private func list(_ channel: Name) {
        channels[channel]?.listing = .asked
        router.send(["SADD", .text(router.keys.nodeChannels(router.options.node)), .text(channel.text)]) {
            [weak self] reply in
            guard let self else { return }
            for user in channels[channel]?.unlisted ?? [] { queue.append((channel, user)) }
            channels[channel]?.unlisted = []
            // All have left meanwhile, and the channel was taken out of the set again; others may have come.
            guard channels[channel]?.listing == .asked else { return pump() }
            if case .value = reply {
                channels[channel]?.listing = .done
                return pump()
            }
            channels[channel]?.listing = .none
            if case .error(let error) = reply { router.noteFault(error) }
            pumpLater()
        }
    }

    private func replied(_ reply: RedisConnection.Reply, _ channel: Name, _ user: Name) {
        underWayCount -= 1
        channels[channel]?.wishes[user]?.isUnderWay = false
        var isRefused = false
        if case .error(let error) = reply {
            router.noteFault(error)
            isRefused = true
        }
        if case .value = reply {
            if let wish = channels[channel]?.wishes[user] {
                if wish.isDue { enqueue(user, channel) } else if !wish.isPresent { remove(user, channel) }
            }
        } else {
            channels[channel]?.wishes[user]?.isDue = true
            enqueue(user, channel)
        }
        if isRefused { pumpLater() } else { pump() }
    }

    private func remove(_ user: Name, _ channel: Name) {
        channels[channel]?.wishes[user] = nil
        guard channels[channel]?.wishes.isEmpty == true else { return }
        channels[channel] = nil
        router.send(["SREM", .text(router.keys.nodeChannels(router.options.node)), .text(channel.text)]) { _ in }
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
        router.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isRetryScheduled = false
            self?.pump()
        }
    }

    /// The field of a user on a node.
    static func field(of node: NodeID, _ user: String) -> String { "\(node)\0\(user)" }

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
