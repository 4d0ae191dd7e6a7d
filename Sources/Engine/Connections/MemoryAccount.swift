import Channels
import Synchronization

/// The account of the memory that all workers hold for clients, in bytes, and the pressure that follows from it. It may
/// be used from any thread.
///
/// Each kind is counted where memory is allocated and freed, so that memory shared by several connections counts once.
/// A connection's record, its session and its memberships are not counted: the limits on connections and channels bound
/// them.
final class MemoryAccount: Sendable {
    /// Frames that are on their way between workers, being sent, or waiting for slow connections.
    let frames = ByteMeter()
    /// Unfinished handshakes and messages, and input that is read later.
    let input = ByteMeter()
    /// Messages of `json` clients on their way to their channels' homes.
    let batches = ByteMeter()
    /// The history of channels, and the channels themselves.
    let history = ByteMeter()
    /// What waits until the broker takes it.
    let brokerQueue = BrokerQueue()
    /// What is kept of messages that the broker has taken, until they come back.
    let returning = ByteMeter()
    /// What the broker has delivered and the workers have not taken.
    let deliveries = BrokerDeliveries()
    private let limit: Atomic<Int>

    /// The level to which the limit is used, and the measure taken.
    enum Pressure: Int, Comparable {
        case none
        /// From three quarters of the limit: connections in the middle of a large message are not read.
        case high
        /// From seven eighths of the limit: new clients are refused.
        case full
        /// Beyond the limit: the connections that hold most are closed.
        case over

        static func < (one: Pressure, other: Pressure) -> Bool { one.rawValue < other.rawValue }
    }

    /// - Parameter limit: the limit in bytes; 0: none.
    init(limit: Int) { self.limit = Atomic(limit) }

    /// The limit in bytes; 0: none.
    var byteLimit: Int { limit.load(ordering: .relaxed) }

    func setLimit(_ byteCount: Int) { limit.store(byteCount, ordering: .relaxed) }

    var used: Int { frames.byteCount + input.byteCount + batches.byteCount + history.byteCount + forBroker }

    /// What is held because of the broker.
    var forBroker: Int { brokerQueue.byteCount + returning.byteCount + deliveries.byteCount }

    var pressure: Pressure {
        let limit = byteLimit
        guard limit > 0 else { return .none }
        let used = used
        if used > limit { return .over }
        if used > limit / 8 * 7 { return .full }
        return used > limit / 4 * 3 ? .high : .none
    }
}
