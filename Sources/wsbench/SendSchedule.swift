/// When the messages of one publisher are due in the open loop, whatever the server does.
///
/// Latency counted from these times and not from when a message could be sent is free of coordinated omission: a server
/// that stands still for a second delays all that was due in it, not just the one message that a waiting client has sent.
struct SendSchedule: Equatable {
    /// When the first message of the first publisher is due, in nanoseconds of CLOCK_MONOTONIC.
    var start: UInt64
    /// Messages a second of all publishers together; above 0.
    var rate: Double
    /// How many publishers share the rate; they take turns.
    var publisherCount: Int
    /// Which of them this one is, from 0.
    var publisher: Int

    /// When a message is due.
    @inline(__always)
    func time(of sequence: Int) -> UInt64 {
        start &+ UInt64(Double(sequence &* publisherCount &+ publisher) * 1e9 / rate)
    }

    /// How many messages are due by a time, that time included.
    func dueCount(at time: UInt64) -> Int {
        guard time >= start else { return 0 }
        let turns = Double(time - start) * rate / 1e9 - Double(publisher)
        var count = max(0, Int(turns / Double(publisherCount)) + 1)
        // The two directions may round differently; `time(of:)` is the one that counts.
        while count > 0 && self.time(of: count - 1) > time { count -= 1 }
        while self.time(of: count) <= time { count += 1 }
        return count
    }

    /// How long each message that was due before the end but never sent had waited by then: what latency is at least
    /// to be charged for it, or an overloaded server would look fast.
    func waits(ofUnsentFrom sentCount: Int, notBefore: UInt64, end: UInt64) -> [UInt64] {
        guard end > 0 else { return [] }
        let due = dueCount(at: end - 1)
        guard sentCount < due else { return [] }
        return (sentCount..<due).map { time(of: $0) }.filter { $0 >= notBefore }.map { end - $0 }
    }
}
