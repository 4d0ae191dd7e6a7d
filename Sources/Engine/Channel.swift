import Rooms

/// One worker's view of a channel: the subscribers on this worker, and what was published here on its way to the home.
///
/// Only the owning worker's thread touches it.
final class Channel {
    let name: String
    /// Its place in the worker's table.
    let index: UInt32
    /// The worker that puts the channel's messages in order.
    let homeWorker: Int
    /// The home itself, on that worker.
    let home: ChannelHome?
    private(set) var settings: ChannelSettings
    /// The configuration under which this worker came to know the channel.
    let knownSince: UInt32
    /// Slots of the subscribers on this worker, dense; each knows its place, so leaving swaps with the last.
    private(set) var subscribers: ContiguousArray<UInt32> = []
    /// Connections of this worker that the home has been asked to let in.
    private(set) var joining = 0

    /// How many on this worker use each encoding, those joining included.
    private var users = Encoding.Table<UInt32>(repeating: 0)
    /// The encodings that these use.
    private(set) var encodings: Encoding.Set = [] {
        didSet { home?.encodingsHere = encodings }
    }

    /// Elsewhere: what was published on this worker in this turn, for the home to put in order.
    var batch = PublicationBatch()
    /// When the first of what was published came, in nanoseconds of the monotonic clock.
    var publishedAt: UInt64 = 0
    /// Whether it is in the worker's list of channels in which something was published.
    var isMarked = false

    /// What a channel takes beside its name and its subscribers: the objects, malloc's headers, its place in the table.
    static let overhead = 640

    init(
        name: String, index: UInt32, homeWorker: Int, home: ChannelHome?, settings: ChannelSettings, knownSince: UInt32
    ) {
        self.name = name
        self.index = index
        self.homeWorker = homeWorker
        self.home = home
        self.settings = settings
        self.knownSince = knownSince
    }

    /// The configuration since which members are counted as they are now, as far as this worker knows.
    private(set) var countedSince: UInt32 = 0

    /// Other settings hold from now on. Where they count members differently, the home begins anew.
    func apply(_ new: ChannelSettings, generation: UInt32, at now: Int64) {
        if new.tracksPresence != settings.tracksPresence || new.isTracked != settings.isTracked {
            countedSince = generation
        }
        settings = new
        home?.apply(new, generation: generation, at: now)
    }

    /// Whether something was published that has not been handed over.
    var isPublished: Bool { !batch.isEmpty || home?.hasDelivery ?? false }

    /// Whether nobody would miss it.
    var isUnused: Bool {
        subscribers.isEmpty && joining == 0 && batch.isEmpty && home?.isUnused ?? true
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
}
