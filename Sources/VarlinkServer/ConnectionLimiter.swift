import Synchronization
import Varlink

/// Counts the connections of a server, in all and by user, so that one user can't keep out the others.
final class ConnectionLimiter: Sendable {
    private struct Counts {
        var total = 0
        var byUser: [UInt32: Int] = [:]
    }

    private let limits: VarlinkServer.Limits
    private let counts = Mutex(Counts())
    /// The number of bytes of incomplete calls.
    private let unfinished = Atomic(0)

    init(limits: VarlinkServer.Limits) {
        self.limits = limits
    }

    /// Takes a place for a connection; false if there is none left.
    func enter(_ user: UInt32) -> Bool {
        counts.withLock { counts in
            guard counts.total < limits.connections, counts.byUser[user, default: 0] < limits.connectionsPerUser else {
                return false
            }
            counts.total += 1
            counts.byUser[user, default: 0] += 1
            return true
        }
    }

    /// Returns a place.
    func leave(_ user: UInt32) {
        counts.withLock { counts in
            counts.total -= 1
            let left = counts.byUser[user, default: 1] - 1
            counts.byUser[user] = left == 0 ? nil : left
        }
    }

    /// Counts this many bytes more, or less, of incomplete calls; false if they are too many.
    func hold(_ byteCount: Int) -> Bool {
        unfinished.add(byteCount, ordering: .relaxed).newValue <= limits.unfinishedByteCount || byteCount <= 0
    }

    /// The number of connections.
    var count: Int { counts.withLock(\.total) }
}
