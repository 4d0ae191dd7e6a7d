import Base
import Broker
import BrokerSupport
import CLinux
import NIOCore

/// The users on this node, and what the stream of users has been told of them.
///
/// The stream has a message for each user in a channel: the nodes where the user is. It is replaced only by who knows
/// what it was, so that one node announces that the user has come, and one that the user has left. A change is tried
/// until the stream has it, and only the last of several counts.
final class NATSPresence {
    /// What is wanted for a user in a channel.
    private struct Wish {
        var since: Int64
        var isPresent: Bool
        var isAnnounced: Bool
        /// Whether the others know already, so that writing it again must not announce it.
        var isSilent = false
        /// Whether the stream has to be told, and whether it is being told.
        var isDue = true
        var isUnderWay = false
    }

    private struct Key: Hashable {
        var channel: Name
        var user: Name
    }

    private static let windowCount = 256
    private static let retryPause: TimeAmount = .milliseconds(200)
    /// The most rows that an answer is made of.
    private static let rowCount = 1_000_000

    private unowned let core: NATSCore
    private var wishes: [Key: Wish] = [:]
    private var queue = CircularBuffer<Key>()
    private var underWayCount = 0
    private var isRetryScheduled = false
    private var whenEmpty: (() -> Void)?
    private var repetition: Scheduled<Void>?
    /// The time at which the stream was made; another one is another stream.
    private var created: String?
    /// The last place in the stream that is known.
    private var lastSequence: UInt64 = 0
    private var isReady = false
    private var isRemoving = false
    private var isStopped = false

    init(_ core: NATSCore) { self.core = core }

    func change(_ change: PresenceChange) {
        let key = Key(channel: Name(change.channel), user: Name(change.user))
        let wish = wishes[key]
        if !change.isPresent, wish == nil { return }
        wishes[key] = Wish(
            since: change.time, isPresent: change.isPresent, isAnnounced: change.isAnnounced,
            isUnderWay: wish?.isUnderWay ?? false)
        queue.append(key)
    }

    /// Begins on a new connection: others may have removed what was there, or the stream may have lost it.
    func connected() {
        let settings = NATSStreams.Settings(
            name: core.subjects.usersStream, subjects: core.subjects.allUsers, messageCount: 1, life: 0, live: nil)
        core.streams.ensure(settings) { [weak self] stream in
            guard let self, !isStopped else { return }
            guard let stream else {
                core.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
                    if let self, core.link.ready != nil, !isReady { connected() }
                }
                return
            }
            let isNew = created != nil && created != stream.created
            let hasLost = isNew || stream.lastSequence < lastSequence
            created = stream.created
            lastSequence = stream.lastSequence
            isReady = true
            writeAgain(isSilent: hasLost)
            if hasLost { remove(where: { [weak self] key, id in self?.isForgotten(key, id) ?? false }) { _ in } }
            // Whoever was about to remove the users may go on after they were written.
            repetition?.cancel()
            let pause = TimeAmount(core.options.presenceTTL)
            repetition = core.loop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
                self?.writeAgain(isSilent: hasLost)
            }
        }
    }

    func lost() {
        isReady = false
        repetition?.cancel()
    }

    func stop() {
        isStopped = true
        repetition?.cancel()
    }

    private func writeAgain(isSilent: Bool) {
        for (key, wish) in wishes where wish.isPresent {
            wishes[key]?.isDue = true
            wishes[key]?.isSilent = isSilent
            queue.append(key)
        }
        pump()
    }

    private func isForgotten(_ key: Key, _ id: NodeID) -> Bool { id == core.options.node && wishes[key] == nil }

    /// Removes all users of this node, and calls `body` when that is done.
    func withdraw(then body: @escaping () -> Void) {
        let now = clinux_realtime_milliseconds()
        for (key, wish) in wishes where wish.isPresent {
            wishes[key]?.isPresent = false
            wishes[key]?.since = now
            wishes[key]?.isDue = true
            queue.append(key)
        }
        whenEmpty = body
        pump()
        checkEmpty()
    }

    func pump() {
        guard isReady, !isRetryScheduled else { return }
        while !isRetryScheduled, underWayCount < Self.windowCount, let key = queue.popFirst() {
            guard let wish = wishes[key], wish.isDue, !wish.isUnderWay else { continue }
            wishes[key]?.isDue = false
            wishes[key]?.isUnderWay = true
            underWayCount += 1
            let change = UserChange(
                core, key.channel.text, key.user.text, core.options.node,
                to: wish.isPresent ? UserRow.Node(since: wish.since, isAnnounced: wish.isAnnounced) : nil,
                announces: wish.isAnnounced && !wish.isSilent, at: wish.since)
            change.begin { [weak self] isDone in self?.ended(key, isDone) }
        }
    }

    private func ended(_ key: Key, _ isDone: Bool) {
        underWayCount -= 1
        wishes[key]?.isUnderWay = false
        if isDone {
            if let wish = wishes[key] {
                if wish.isDue {
                    queue.append(key)
                } else if !wish.isPresent {
                    wishes[key] = nil
                    checkEmpty()
                }
            }
            return pump()
        }
        wishes[key]?.isDue = true
        queue.append(key)
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        core.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isRetryScheduled = false
            self?.pump()
        }
    }

    private func checkEmpty() {
        guard wishes.isEmpty, let body = whenEmpty else { return }
        whenEmpty = nil
        body()
    }

    // MARK: Everybody's

    /// The users of a channel on all nodes; nil if the stream can't be asked.
    func members(of channel: String, _ body: @escaping ([BrokerMember]?) -> Void) {
        guard isReady, let connection = core.link.ready else { return body(nil) }
        // A row that changes meanwhile may come twice.
        var members: [Name: BrokerMember] = [:]
        StreamReader.read(
            connection, core.subjects.usersStream, core.subjects.users(channel), from: .lastOfEach,
            within: TimeAmount(core.options.requestTimeout)
        ) { [core] message, _ in
            let row = UserRow(String(buffer: message.payload))
            guard let (_, user) = core.subjects.channelAndUser(of: message.subject), members.count < Self.rowCount
            else { return }
            members[Name(user)] = row.nodes.values.lazy.map(\.since).min().map { since in
                BrokerMember(user: user, nodeCount: row.nodes.count, since: since)
            }
        } done: { isComplete in
            body(isComplete ? members.sorted { $0.key < $1.key }.map(\.value) : nil)
        }
    }

    /// Removes the users of nodes that are not there.
    func removeGone(_ body: @escaping (Bool) -> Void) {
        remove(where: { [weak self] _, id in self?.core.nodes.isThere(id) == false }, body)
    }

    private func remove(where isMeant: @escaping (Key, NodeID) -> Bool, _ body: @escaping (Bool) -> Void) {
        guard isReady, !isRemoving, let connection = core.link.ready else { return body(false) }
        isRemoving = true
        var found: [(Key, NodeID, UserRow.Node)] = []
        StreamReader.read(
            connection, core.subjects.usersStream, core.subjects.allUsers, from: .lastOfEach,
            within: TimeAmount(core.options.requestTimeout)
        ) { [core] message, _ in
            guard let (channel, user) = core.subjects.channelAndUser(of: message.subject) else { return }
            let key = Key(channel: Name(channel), user: Name(user))
            for (id, node) in UserRow(String(buffer: message.payload)).nodes
            where isMeant(key, id) && found.count < Self.rowCount {
                found.append((key, id, node))
            }
        } done: { [weak self] isComplete in
            guard let self else { return }
            removeNext(found, isMeant, isComplete) { [weak self] isDone in
                self?.isRemoving = false
                body(isDone)
            }
        }
    }

    private func removeNext(
        _ found: [(Key, NodeID, UserRow.Node)], _ isMeant: @escaping (Key, NodeID) -> Bool, _ isComplete: Bool,
        _ body: @escaping (Bool) -> Void
    ) {
        let some = found.suffix(Self.windowCount)
        guard !some.isEmpty else { return body(isComplete) }
        var missing = some.count
        var isComplete = isComplete
        for (key, id, node) in some {
            let ended: (Bool) -> Void = { [weak self] isDone in
                missing -= 1
                if !isDone { isComplete = false }
                guard missing == 0 else { return }
                guard let self, isReady else { return body(false) }
                removeNext(found.dropLast(some.count), isMeant, isComplete, body)
            }
            // It may have come back since.
            guard isMeant(key, id) else {
                ended(true)
                continue
            }
            UserChange(
                core, key.channel.text, key.user.text, id, to: nil,
                // Whoever is not there any more though the node is has been announced when leaving.
                announces: node.isAnnounced && id != core.options.node, at: clinux_realtime_milliseconds()
            ).begin(ended)
        }
    }
}
