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
    /// Bytes of calls that are not whole yet.
    private let unfinished = Atomic(0)

    init(limits: VarlinkServer.Limits) {
        self.limits = limits
    }

    /// Takes a place for a connection; false when there is none left.
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

    /// Gives a place back.
    func leave(_ user: UInt32) {
        counts.withLock { counts in
            counts.total -= 1
            let left = counts.byUser[user, default: 1] - 1
            counts.byUser[user] = left == 0 ? nil : left
        }
    }

    /// So many bytes more, or less, wait for the rest of their calls; false where that is too many.
    func hold(_ byteCount: Int) -> Bool {
        unfinished.add(byteCount, ordering: .relaxed).newValue <= limits.unfinishedByteCount || byteCount <= 0
    }

    /// Connections now.
    var count: Int { counts.withLock(\.total) }
}
