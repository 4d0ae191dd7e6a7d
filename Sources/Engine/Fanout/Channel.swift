import Channels
import Settings

/// One worker's view of a channel: the subscribers on this worker, and the messages published here on their way to the
/// home.
///
/// Only the owning worker's thread touches it.
final class Channel {
    let name: String
    /// The channel's index in the worker's table.
    let index: UInt32
    /// The worker that puts the channel's messages in order.
    let homeWorker: Int
    /// The home itself; nil on all other workers.
    let home: ChannelHome?
    private(set) var settings: ChannelSettings
    /// The generation of the configuration under which this worker created its record of the channel; in a channel of an
    /// earlier process, that since which its home has counted members the present way.
    private(set) var knownSince: UInt32
    /// The slots of the subscribers on this worker, without gaps. Each subscriber knows its index, so leaving swaps it
    /// with the last.
    private(set) var subscribers: ContiguousArray<UInt32> = []
    /// The number of this worker's connections that have asked the home to let them in.
    private(set) var joining = 0

    /// The number of this worker's subscribers that use each encoding, including those that are joining.
    private var users = Encoding.Table<UInt32>(repeating: 0)
    /// The encodings that these subscribers use.
    private(set) var encodings: Encoding.Set = [] {
        didSet { home?.encodingsHere = encodings }
    }

    /// The messages published on this worker in this turn, for a home on another worker to put in order.
    var batch = PublicationBatch()
    /// The time at which the first of the published messages came, in nanoseconds of the monotonic clock.
    var publishedAt: UInt64 = 0
    /// Whether the channel is in the worker's list of channels in which something was published.
    var isMarked = false

    /// The memory of a channel besides its name and its subscribers: the objects, malloc's headers, the table entry.
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

    /// The generation of the configuration since which members are counted the present way, as far as this worker
    /// knows.
    private(set) var countedSince: UInt32 = 0

    /// Applies new settings. If they count members differently, the home starts counting anew.
    func apply(_ new: ChannelSettings, generation: UInt32, at now: Int64) {
        if !new.countsMembersLike(settings) { countedSince = generation }
        settings = new
        home?.apply(new, generation: generation, at: now)
    }

    /// Notes since when the home has counted members the present way, as an earlier process has left it.
    func noteCounting(since generation: UInt32) { knownSince = generation }

    /// Whether published messages have not been handed over yet.
    var isPublished: Bool { !batch.isEmpty || home?.hasDelivery ?? false }

    /// Whether nothing on this worker needs the channel.
    var isUnused: Bool {
        subscribers.isEmpty && joining == 0 && batch.isEmpty && home?.isUnused ?? true
    }

    /// Counts a connection that is about to join.
    func reserve(_ encoding: Encoding) {
        joining += 1
        users[Int(encoding.rawValue)] += 1
        encodings.insert(Encoding.Set(encoding))
    }

    /// Uncounts a connection that did not join after all.
    func cancel(_ encoding: Encoding) {
        joining -= 1
        removeUser(encoding)
    }

    /// Makes a connection that was counted by `reserve` a subscriber and returns its index.
    func admit(_ slot: Int) -> UInt32 {
        joining -= 1
        subscribers.append(UInt32(slot))
        return UInt32(subscribers.count - 1)
    }

    /// Removes the subscriber at an index; returns the slot that has moved there, if one has.
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
