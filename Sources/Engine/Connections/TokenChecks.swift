import Channels
import WebSocket

/// The checks of tokens that are under way for the clients of a worker. A check goes on when its client has gone, so that no
/// limit on connections bounds them.
struct TokenChecks {
    /// What the checks of a worker may cost at a time, in bytes, and the share of the limit on memory that those of all
    /// workers may have.
    static let limit = 32 << 20
    private static let share = 8
    /// What a check costs besides its token, in bytes.
    private static let overhead = 1_024

    /// What the checks under way cost, in bytes.
    private(set) var cost = 0

    /// Counts a check. Returns its cost, which ``end(_:_:)`` takes; nil if there are too many already.
    mutating func begin(_ token: String, _ account: MemoryAccount, workerCount: Int) -> Int? {
        let cost = token.utf8.count + Self.overhead
        let share = account.byteLimit > 0 ? account.byteLimit / Self.share / max(1, workerCount) : Self.limit
        guard self.cost + cost <= min(Self.limit, share) else { return nil }
        self.cost += cost
        account.input.add(cost)
        return cost
    }

    /// Counts a check no longer, as its result has come.
    mutating func end(_ cost: Int, _ account: MemoryAccount) {
        self.cost -= cost
        account.input.add(-cost)
    }

    /// The refusal of a client whose token can't be checked now.
    static let tooMany = Refusal(
        .serviceUnavailable, "too many tokens are being checked; try again", fields: [Worker.retryAfter])
}

extension TaskPriority {
    /// The priority of what clients cause outside of the workers. On Linux each priority has threads of its own, so that a storm
    /// of tokens keeps nobody else waiting, nor is kept.
    static let forClients = TaskPriority.low
}
