package import Logging
import Synchronization

/// The lowest level that is logged, shared by all loggers and adjustable while the daemon runs.
package final class LogThreshold: Sendable {
    // Read for every log statement, on any thread; so an atomic and no lock.
    private let index: Atomic<Int>

    /// A threshold that starts at this level.
    package init(_ level: Logger.Level = .info) {
        index = Atomic(Self.index(of: level))
    }

    /// The level in force; a change takes effect with the next log statement.
    package var level: Logger.Level {
        get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
        set { index.store(Self.index(of: newValue), ordering: .relaxed) }
    }

    private static func index(of level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}
