import Rooms
import Synchronization

/// The account of what all workers hold for clients, in bytes, and what follows from it. Any thread.
///
/// Each kind is counted where memory is taken and where it is given back, so that what several connections share counts
/// once. A connection's record, its session and its channels are bounded by the limits on connections and channels.
final class MemoryAccount: Sendable {
    /// Frames: on their way between workers, being sent, or waiting for slow connections.
    let frames = ByteMeter()
    /// Handshakes under way, unfinished messages, and input that is read later.
    let input = ByteMeter()
    /// Messages of `json` clients on their way to their channels' homes.
    let batches = ByteMeter()
    /// The history of channels, with what such a channel takes itself.
    let history = ByteMeter()
    private let limit: Atomic<Int>

    /// How full it is, and what is done about it.
    enum Pressure: Int, Comparable {
        case none
        /// From three quarters of the limit on: who is in the middle of a large message is not read.
        case high
        /// From seven eighths on: nobody new is let in.
        case full
        /// Beyond the limit: the connections that hold most are closed.
        case over

        static func < (one: Pressure, other: Pressure) -> Bool { one.rawValue < other.rawValue }
    }

    /// - Parameter limit: in bytes; 0: none.
    init(limit: Int) { self.limit = Atomic(limit) }

    /// In bytes; 0: none.
    var byteLimit: Int { limit.load(ordering: .relaxed) }

    func setLimit(_ byteCount: Int) { limit.store(byteCount, ordering: .relaxed) }

    var used: Int { frames.byteCount + input.byteCount + batches.byteCount + history.byteCount }

    var pressure: Pressure {
        let limit = byteLimit
        guard limit > 0 else { return .none }
        let used = used
        if used > limit { return .over }
        if used > limit / 8 * 7 { return .full }
        return used > limit / 4 * 3 ? .high : .none
    }
}
