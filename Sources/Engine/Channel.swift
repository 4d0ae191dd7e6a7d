import Rooms

/// One worker's view of a channel: who on this worker hears it and, at its home, what has been published.
///
/// Only the owning worker's thread touches it.
final class Channel {
    let name: String
    /// The worker that puts the channel's messages in order.
    let home: Int
    private(set) var settings: ChannelSettings
    /// The configuration since which those in the channel are counted as they are now.
    private(set) var countedSince: UInt32 = 0
    /// The configuration under which this worker came to know the channel.
    let knownSince: UInt32
    /// Slots of the subscribers on this worker, dense; each knows its place, so leaving swaps with the last.
    private(set) var subscribers: ContiguousArray<UInt32> = []
    /// Connections of this worker that the home has been asked to let in.
    private(set) var joining = 0

    /// How many on this worker use each encoding, those joining included.
    private var users = Encoding.Table<UInt32>(repeating: 0)
    /// The encodings that these use.
    private(set) var encodings: Encoding.Set = []

    /// At the home: a bit for each other worker with subscribers, and the encodings that these use, by worker and in all.
    private(set) var interested: UInt64 = 0
    private var encodingsByWorker: [Int: Encoding.Set] = [:]
    private var encodingsAbroad: Encoding.Set = []

    /// Elsewhere: what was published on this worker in this turn, for the home to put in order.
    var batch = PublicationBatch()
    /// At the home: what has its place and has not been handed over, encoded once as the `relay` protocol sends it.
    var relayFrames: SegmentBuilder
    /// The same for the `json` protocol.
    var jsonFrames: SegmentBuilder
    /// How many messages these are.
    var placedCount = 0
    /// At the home: whose messages in `jsonFrames` do not go back to them.
    var exclusions: [Delivery.Exclusion] = []
    /// At the home: who wants to know how many the messages go to.
    var receipts: [Receipt] = []
    /// When the first of what was published came, in nanoseconds of the monotonic clock.
    var publishedAt: UInt64 = 0
    /// At the home: who follows the channel without being in it.
    var followers: [Follower] = []
    /// At the home: how much is published.
    var activity = Activity()
    /// At the home: what the `json` protocol keeps; made when it is first needed.
    var room: Room?

    /// What a channel takes beside its name and its subscribers: the objects, malloc's headers, its place in the table.
    static let overhead = 640

    init(name: String, home: Int, settings: ChannelSettings, knownSince: UInt32, frames: ByteMeter) {
        relayFrames = SegmentBuilder(frames)
        jsonFrames = SegmentBuilder(frames)
        self.name = name
        self.home = home
        self.settings = settings
        self.knownSince = knownSince
    }

    /// Other settings hold from now on. Where they count differently who is here, the home begins anew.
    func apply(_ new: ChannelSettings, generation: UInt32) {
        if new.tracksPresence != settings.tracksPresence || new.isTracked != settings.isTracked {
            countedSince = generation
            room?.forgetMembers()
        }
        settings = new
        room?.presence.leaveDelay = new.leaveDelay
    }

    /// Whether something was published that has not been handed over.
    var isPublished: Bool { placedCount > 0 || !batch.isEmpty }

    /// Whether nobody would miss it.
    var isUnused: Bool {
        subscribers.isEmpty && joining == 0 && interested == 0 && !isPublished && followers.isEmpty
            && room?.isForgettable ?? true
    }

    /// At the home: the encodings in use anywhere.
    var allEncodings: Encoding.Set {
        let inUse = encodings.union(encodingsAbroad)
        return followers.isEmpty ? inUse : inUse.union(Encoding.Set(.relay))
    }

    /// Counts a connection that is about to join.
    func reserve(_ encoding: Encoding) {
        joining += 1
        users[Int(encoding.rawValue)] += 1
        encodings.insert(Encoding.Set(encoding))
    }

    /// Uncounts one that did not join after all.
    func cancel(_ encoding: Encoding) {
        joining -= 1
        removeUser(encoding)
    }

    /// Makes a connection that was counted by `reserve` a subscriber and returns its place.
    func admit(_ slot: Int) -> UInt32 {
        joining -= 1
        subscribers.append(UInt32(slot))
        return UInt32(subscribers.count - 1)
    }

    /// Removes the subscriber at a place; returns the slot that has moved there, if one has.
    func remove(at position: UInt32, _ encoding: Encoding) -> UInt32? {
        removeUser(encoding)
        let last = subscribers.removeLast()
        guard Int(position) < subscribers.count else { return nil }
        subscribers[Int(position)] = last
        return last
    }

    private func removeUser(_ encoding: Encoding) {
        users[Int(encoding.rawValue)] -= 1
        if users[Int(encoding.rawValue)] == 0 { encodings.remove(Encoding.Set(encoding)) }
    }

    /// At the home: another worker's subscribers use these encodings from now on; none: it has no subscribers.
    func setEncodings(_ encodings: Encoding.Set, ofWorker worker: Int) {
        encodingsByWorker[worker] = encodings.isEmpty ? nil : encodings
        interested = encodingsByWorker.keys.reduce(0) { $0 | 1 << UInt64($1) }
        encodingsAbroad = encodingsByWorker.values.reduce([]) { $0.union($1) }
    }
}
