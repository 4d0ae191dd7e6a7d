/// One worker's view of a channel: who on this worker hears it and, at its home, what has been published.
///
/// Only the owning worker's thread touches it.
final class Channel {
    let name: String
    /// The worker that puts the channel's messages in order.
    let home: Int
    /// Slots of the subscribers on this worker, dense; each record knows its place, so leaving swaps with the last.
    private(set) var subscribers: ContiguousArray<UInt32> = []

    /// How many subscribers on this worker use each encoding.
    private var users = Encoding.Table<UInt32>(repeating: 0)
    /// The encodings that subscribers on this worker use.
    private(set) var encodings: Encoding.Set = []

    /// At the home: a bit for each other worker with subscribers, and the encodings that these use, by worker and in all.
    private(set) var interested: UInt64 = 0
    private var encodingsByWorker: [Int: Encoding.Set] = [:]
    private(set) var encodingsAbroad: Encoding.Set = []
    /// What was published on this worker in this turn, encoded once. At the home it goes to the subscribers, elsewhere to
    /// the home.
    var batch = SegmentBuilder()

    init(name: String, home: Int) {
        self.name = name
        self.home = home
    }

    /// Adds a subscriber and returns its place.
    func add(_ slot: Int, _ encoding: Encoding) -> UInt32 {
        subscribers.append(UInt32(slot))
        users[Int(encoding.rawValue)] += 1
        encodings.insert(Encoding.Set(encoding))
        return UInt32(subscribers.count - 1)
    }

    /// Removes the subscriber at a place; returns the slot that has moved there, if one has.
    func remove(at position: UInt32, _ encoding: Encoding) -> UInt32? {
        users[Int(encoding.rawValue)] -= 1
        if users[Int(encoding.rawValue)] == 0 { encodings.remove(Encoding.Set(encoding)) }
        let last = subscribers.removeLast()
        guard Int(position) < subscribers.count else { return nil }
        subscribers[Int(position)] = last
        return last
    }

    /// At the home: another worker's subscribers use these encodings from now on; none: it has no subscribers.
    func setEncodings(_ encodings: Encoding.Set, ofWorker worker: Int) {
        encodingsByWorker[worker] = encodings.isEmpty ? nil : encodings
        interested = encodingsByWorker.keys.reduce(0) { $0 | 1 << UInt64($1) }
        encodingsAbroad = encodingsByWorker.values.reduce([]) { $0.union($1) }
    }
}
