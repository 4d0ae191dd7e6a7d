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
        /// Whether the others know already, so that writing it must not announce it.
        var isSilent = false
        /// Whether the stream has to be told, whether that waits in the queue, and whether it is being told.
        var isDue = true
        var isQueued = false
        var isUnderWay = false
        /// Whether the stream was told that the user is here.
        var isStored = false
        /// Where the stream had the user last.
        var place: UInt64 = 0
        /// Whether the stream may have it, though the answer was lost, and nothing was announced.
        var isUncertain = false
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
    private let removals: UserRemovals
    private var wishes: [Key: Wish] = [:]
    private var queue = CircularBuffer<Key>()
    private var underWayCount = 0
    private var isRetryScheduled = false
    private var whenEmpty: (() -> Void)?
    private var check: Scheduled<Void>?
    /// When the users are written once more: whoever was about to remove them may have gone on after they were.
    private var repetition: (time: NIODeadline, isSilent: Bool)?
    /// The time at which the stream was made; another one is another stream.
    private var created: String?
    /// The last place in the stream that is known.
    private var lastSequence: UInt64 = 0
    /// Whether the stream is known to be there.
    private(set) var isReady = false
    /// Whether the stream is being looked for, and whether others may have removed this node's users.
    private var isLooking = false
    private var mayBeRemoved = false
    /// Whether the stream may have users of this node who have left.
    private var mayHaveForgotten = false
    private var isStopped = false

    init(_ core: NATSCore) {
        self.core = core
        removals = UserRemovals(core)
    }

    /// The channels in which users of this node are announced.
    var announcedChannels: Set<Name> { Set(wishes.lazy.filter(\.value.isAnnounced).map(\.key.channel)) }

    func change(_ change: PresenceChange) {
        let key = Key(channel: Name(change.channel), user: Name(change.user))
        let wish = wishes[key]
        if !change.isPresent {
            guard let wish else { return }
            // The stream has never heard of who came and went before it could be told.
            if !wish.isStored, !wish.isUnderWay, !wish.isUncertain {
                wishes[key] = nil
                return checkEmpty()
            }
        }
        wishes[key] = Wish(
            since: change.time, isPresent: change.isPresent, isAnnounced: change.isAnnounced, isSilent: change.isSilent,
            isQueued: wish?.isQueued ?? false, isUnderWay: wish?.isUnderWay ?? false, isStored: wish?.isStored ?? false,
            place: wish?.place ?? 0,
            isUncertain: wish?.isUncertain == true && wish?.isPresent == change.isPresent)
        enqueue(key)
    }

    private func enqueue(_ key: Key) {
        wishes[key]?.isDue = true
        guard wishes[key]?.isQueued == false else { return }
        wishes[key]?.isQueued = true
        queue.append(key)
        // Those who have gone before the stream could be told are still in it.
        guard queue.count > 2 * wishes.count + Self.windowCount else { return }
        queue = CircularBuffer(wishes.lazy.filter(\.value.isQueued).map(\.key))
    }

    /// Begins on a new connection: others may have removed what was there, or the stream may have lost it.
    func connected() {
        mayBeRemoved = true
        look()
    }

    /// Writes the users again, as others have removed them, or may have.
    func restart() {
        mayBeRemoved = true
        if isReady { look() }
    }

    /// Makes the stream if it is not there any more, and writes users again that are missing in it.
    private func look() {
        guard !isLooking, !isStopped else { return }
        isLooking = true
        let known = lastSequence
        let name = core.subjects.usersStream
        core.streams.forget(name)
        let settings = NATSStreams.Settings(
            name: name, subjects: core.subjects.allUsers, messageCount: 1, life: 0, live: nil)
        core.streams.ensure(settings) { [weak self] stream in
            guard let self, !isStopped else { return }
            isLooking = false
            guard let stream else {
                after(Self.retryPause) { [weak self] in if self?.core.link.ready != nil { self?.look() } }
                return
            }
            let isNew = created != nil && stream.created != nil && created != stream.created
            let hasLost = isNew || stream.lastSequence < known
            created = stream.created ?? created
            lastSequence = hasLost ? stream.lastSequence : max(lastSequence, stream.lastSequence)
            begin(hasLost: hasLost, first: stream.firstSequence)
            check?.cancel()
            check = after(TimeAmount(core.options.presenceTTL)) { [weak self] in
                if self?.isReady == true { self?.look() }
            }
        }
    }

    /// - Parameter first: the number of the first message that the stream has.
    private func begin(hasLost: Bool, first: UInt64) {
        isReady = true
        if hasLost { mayHaveForgotten = true }
        if mayHaveForgotten { removeForgotten() }
        if mayBeRemoved || hasLost {
            mayBeRemoved = false
            writeAgain(isSilent: hasLost)
            repetition = (.now() + TimeAmount(core.options.presenceTTL), hasLost)
        } else if let (time, isSilent) = repetition, .now() >= time {
            repetition = nil
            writeAgain(isSilent: isSilent)
        } else {
            // What was before the first message is lost without another stream, as when it is purged. Where another
            // node has written such a user since, nothing changes but the known place.
            writeAgain(isSilent: true) { $0.isStored && !$0.isDue && !$0.isUnderWay && $0.place < first }
        }
    }

    /// Notes that the stream has got a message at a place.
    func noteStored(_ place: UInt64) { lastSequence = max(lastSequence, place) }

    func lost() {
        isReady = false
        check?.cancel()
        repetition = nil
    }

    func stop() {
        isStopped = true
        check?.cancel()
    }

    @discardableResult
    private func after(_ pause: TimeAmount, _ body: @escaping () -> Void) -> Scheduled<Void> {
        core.loop.assumeIsolated().scheduleTask(in: pause) { body() }
    }

    /// - Parameter isSilent: whether nobody was told that those are gone whom the stream had.
    private func writeAgain(isSilent: Bool, where isMissing: (Wish) -> Bool = { _ in true }) {
        for (key, wish) in wishes where wish.isPresent && isMissing(wish) {
            // Of whom the stream has never heard, the others have not either.
            if wish.isStored { wishes[key]?.isSilent = isSilent }
            enqueue(key)
        }
        pump()
    }

    /// Removes those whose leaving the stream has forgotten, until that has succeeded.
    private func removeForgotten() {
        guard mayHaveForgotten, isReady, !isStopped else { return }
        removals.removeOwn { [weak self] channel, user in
            self?.wishes[Key(channel: channel, user: user)] != nil
        } done: { [weak self] isDone in
            guard let self else { return }
            mayHaveForgotten = !isDone
            after(Self.retryPause) { [weak self] in self?.removeForgotten() }
        }
    }

    /// Removes all users of this node, and calls `body` when that is done.
    func withdraw(then body: @escaping () -> Void) {
        let now = clinux_realtime_milliseconds()
        for (key, wish) in wishes where wish.isPresent {
            wishes[key]?.isPresent = false
            wishes[key]?.isSilent = false
            wishes[key]?.isUncertain = false
            wishes[key]?.since = now
            enqueue(key)
        }
        whenEmpty = body
        pump()
        checkEmpty()
    }

    func pump() {
        guard isReady, !isRetryScheduled else { return }
        while !isRetryScheduled, underWayCount < Self.windowCount, let key = queue.popFirst() {
            wishes[key]?.isQueued = false
            guard let wish = wishes[key], wish.isDue, !wish.isUnderWay else { continue }
            wishes[key]?.isDue = false
            wishes[key]?.isUnderWay = true
            underWayCount += 1
            let change = UserChange(
                core, key.channel.text, key.user.text, [core.options.node],
                to: wish.isPresent ? UserRow.Node(since: wish.since, isAnnounced: wish.isAnnounced) : nil,
                announces: wish.isAnnounced && !wish.isSilent, isUncertain: wish.isUncertain, at: wish.since)
            change.begin { [weak self] in self?.ended(key, wish.isPresent, $0, change.place) }
        }
    }

    private func ended(_ key: Key, _ isPresent: Bool, _ outcome: UserChange.Outcome, _ place: UInt64) {
        underWayCount -= 1
        wishes[key]?.isUnderWay = false
        if outcome == .done {
            wishes[key]?.isStored = isPresent
            wishes[key]?.place = place
            if let wish = wishes[key] {
                if wish.isPresent == isPresent { wishes[key]?.isUncertain = false }
                if wish.isDue {
                    enqueue(key)
                } else if !wish.isPresent {
                    wishes[key] = nil
                    checkEmpty()
                }
            }
            return pump()
        }
        if outcome == .uncertain {
            if isPresent { wishes[key]?.isStored = true }
            if wishes[key]?.isPresent == isPresent { wishes[key]?.isUncertain = true }
        }
        enqueue(key)
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        after(Self.retryPause) { [weak self] in
            guard let self else { return }
            isRetryScheduled = false
            // The stream may be gone.
            if isReady { look() }
            pump()
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
    func removeGone(_ body: @escaping (Bool) -> Void) { removals.removeGone(body) }
}
