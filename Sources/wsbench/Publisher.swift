/// One publisher of a thread; its connection is the one of the same index.
struct Publisher {
    /// The number of messages sent.
    var sentCount = 0
    /// The number of messages that came back, or were skipped.
    var returnedCount = 0
    /// The number of messages due by its schedule; unused in the closed loop.
    var dueCount = 0
    /// The time at which it last sent or got back a message, in nanoseconds of CLOCK_MONOTONIC.
    var progressed: UInt64 = 0
}
