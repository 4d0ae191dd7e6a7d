/// The times at which the messages of one publisher are due in the open loop, whatever the server does.
///
/// Latency counted from these times, instead of from the time at which a message could be sent, is free of coordinated
/// omission: a server that stops for a second delays all messages that were due in it, not just the one message that a
/// waiting client has sent.
struct SendSchedule: Equatable {
    /// The time at which the first message of the first publisher is due, in nanoseconds of CLOCK_MONOTONIC.
    var start: UInt64
    /// Messages per second of all publishers together; above 0.
    var rate: Double
    /// The number of publishers that share the rate; they take turns.
    var publisherCount: Int
    /// The index of this publisher, from 0.
    var publisher: Int

    /// The time at which a message is due.
    @inline(__always)
    func time(of sequence: Int) -> UInt64 {
        start &+ UInt64(Double(sequence &* publisherCount &+ publisher) * 1e9 / rate)
    }

    /// The number of messages that are due by a time, inclusive.
    func dueCount(at time: UInt64) -> Int {
        guard time >= start else { return 0 }
        let turns = Double(time - start) * rate / 1e9 - Double(publisher)
        var count = max(0, Int(turns / Double(publisherCount)) + 1)
        // The two directions may round differently; `time(of:)` decides.
        while count > 0 && self.time(of: count - 1) > time { count -= 1 }
        while self.time(of: count) <= time { count += 1 }
        return count
    }

    /// The time that each message had waited by the end if it was due before the end but never sent: latency must be
    /// charged at least this much for it, or an overloaded server would look fast.
    func waits(ofUnsentFrom sentCount: Int, notBefore: UInt64, end: UInt64) -> [UInt64] {
        guard end > 0 else { return [] }
        let due = dueCount(at: end - 1)
        guard sentCount < due else { return [] }
        return (sentCount..<due).map { time(of: $0) }.filter { $0 >= notBefore }.map { end - $0 }
    }
}
