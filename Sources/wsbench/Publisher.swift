/// One publisher of a thread; its connection is the one of the same index.
struct Publisher {
    /// How many messages were sent.
    var sentCount = 0
    /// How many of them it got back, or saw passed over.
    var returnedCount = 0
    /// How many are due by its schedule; unused in the closed loop.
    var dueCount = 0
    /// When it last sent or got back something, in nanoseconds of CLOCK_MONOTONIC.
    var progressed: UInt64 = 0
}
