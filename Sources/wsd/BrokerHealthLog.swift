import Broker
import Logging

/// Decides what the log says of a broker's health: nothing while the first connection is made, unless that takes long;
/// then each change, and no reason twice until the broker works again.
struct BrokerHealthLog {
    struct Line: Equatable {
        var level: Logger.Level
        var text: String
    }

    /// The number of reasons that one failure is given.
    private static let reasonCountLimit = 10

    private(set) var health: BrokerHealth
    private var isStarting = true
    private var isStopping = false
    /// The reasons that have been logged since the broker worked last.
    private var reasons: Set<String> = []

    init(_ health: BrokerHealth) { self.health = health }

    /// Notes the health, and returns what there is to say about it.
    mutating func note(_ next: BrokerHealth, at now: Int64) -> Line? {
        let before = health
        health = next
        switch (before, next) {
        case (.down(_, let since), .up):
            let wasTold = !reasons.isEmpty
            isStarting = false
            reasons = []
            guard wasTold else { return Line(level: .notice, text: "the broker works") }
            let seconds = Double(max(0, now - since)) / 1_000
            return Line(level: .notice, text: "the broker works again, after \(seconds) s")
        case (.up, .down(let reason, _)):
            return tell(reason, .error)
        case (.down, .down(let reason, _)) where !isStarting:
            return tell(reason, .warning)
        default:
            return nil
        }
    }

    /// Notes that the end of the connection is intended.
    mutating func stop() { isStopping = true }

    /// Notes that a first connection should be there by now.
    mutating func startIsOver() -> Line? {
        guard isStarting else { return nil }
        isStarting = false
        guard case .down(let reason, _) = health else { return nil }
        return tell(reason, .warning)
    }

    private mutating func tell(_ reason: String, _ level: Logger.Level) -> Line? {
        guard !isStopping, reasons.count < Self.reasonCountLimit, reasons.insert(reason).inserted else { return nil }
        return Line(level: level, text: "the broker does not work: \(reason)")
    }
}
