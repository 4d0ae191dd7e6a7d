import CLinux

/// The time of a worker: read once per turn, in nanoseconds and in the ticks that deadlines count.
struct WorkerClock {
    /// The turn's time in ticks. A worker begins at `firstTick`.
    private(set) var now = WorkerClock.firstTick
    /// The turn's time in nanoseconds of the monotonic clock.
    private(set) var nanoseconds: UInt64
    /// The earliest deadline, in ticks.
    var nextDeadline = Slab.never
    private let epoch: UInt64

    /// The tick at which a worker begins. The 14 hours of ticks before it are for times in an earlier process.
    static let firstTick: UInt32 = 1 << 20
    /// 50 ms a tick, 6.8 years in 32 bits.
    static let tickNanoseconds: UInt64 = 50_000_000

    init() {
        epoch = clinux_monotonic_nanoseconds()
        nanoseconds = epoch
    }

    mutating func read() {
        nanoseconds = clinux_monotonic_nanoseconds()
        now =
            UInt32(truncatingIfNeeded: (nanoseconds &- epoch) / WorkerClock.tickNanoseconds)
            &+ WorkerClock.firstTick
    }

    /// The tick of a time that was this many ticks ago in an earlier process.
    func tick(ago distance: UInt32) -> UInt32 { now &- min(distance, WorkerClock.firstTick - 1) }

    /// Whether a deadline has passed.
    var isDue: Bool { now >= nextDeadline }

    /// The time of the earliest deadline in nanoseconds of the monotonic clock; nil if there is none.
    var nextWake: UInt64? {
        nextDeadline == Slab.never
            ? nil
            : epoch + UInt64(max(nextDeadline, WorkerClock.firstTick) - WorkerClock.firstTick)
                * WorkerClock.tickNanoseconds
    }

    /// The tick of a time in milliseconds since 1970; `Slab.never` for none.
    func tick(at time: Int64?) -> UInt32 {
        guard let time else { return Slab.never }
        // This divides instead of multiplying, because a token may be valid for thousands of years.
        let (ticks, rest) = max(0, time - clinux_realtime_milliseconds())
            .quotientAndRemainder(dividingBy: Int64(WorkerClock.tickNanoseconds / 1_000_000))
        return ticks < Int64(Slab.never - now) - 1 ? now + UInt32(ticks) + (rest > 0 ? 1 : 0) : Slab.never
    }

    /// The number of ticks in a duration, rounded up; at least one.
    func ticks(_ duration: Duration) -> UInt32 {
        let nanoseconds = WorkerClock.nanoseconds(duration)
        return UInt32(clamping: max(1, (nanoseconds + WorkerClock.tickNanoseconds - 1) / WorkerClock.tickNanoseconds))
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds)) / 1_000_000_000
    }
}
