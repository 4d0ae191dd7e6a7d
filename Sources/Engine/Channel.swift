/// One worker's view of a channel: who on this worker hears it and, at its home, what has been published.
///
/// Only the owning worker's thread touches it.
final class Channel {
    let name: String
    /// The worker that puts the channel's messages in order.
    let home: Int
    /// Slots of the subscribers on this worker, dense; each record knows its place, so leaving swaps with the last.
    private(set) var subscribers: ContiguousArray<UInt32> = []

    /// At the home: a bit for each other worker with subscribers.
    var interested: UInt64 = 0
    /// What was published on this worker in this turn, encoded once. At the home it goes to the subscribers, elsewhere to
    /// the home.
    var batch = SegmentBuilder()

    init(name: String, home: Int) {
        self.name = name
        self.home = home
    }

    /// Adds a subscriber and returns its place.
    func add(_ slot: Int) -> UInt32 {
        subscribers.append(UInt32(slot))
        return UInt32(subscribers.count - 1)
    }

    /// Removes the subscriber at a place; returns the slot that has moved there, if one has.
    func remove(at position: UInt32) -> UInt32? {
        let last = subscribers.removeLast()
        guard Int(position) < subscribers.count else { return nil }
        subscribers[Int(position)] = last
        return last
    }
}
