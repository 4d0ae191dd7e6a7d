import Glibc
package import Logging
import Synchronization

/// The destination of log events.
package enum LogDestination: Sendable, Equatable {
    /// The journal, with fields.
    case journal
    /// stderr, one line per event, with the priority in front if something reads it: sd-daemon(3).
    case stderr(prefixesPriority: Bool)

    /// The journal if stderr is connected to it, as systemd does for a service; otherwise stderr.
    package static func detect() -> LogDestination {
        var status = stat()
        let stderrStatus = fstat(STDERR_FILENO, &status) == 0 ? status : nil
        return choose(
            journalStream: getenv("JOURNAL_STREAM").map { String(cString: $0) },
            stderr: stderrStatus.map { (device: UInt64($0.st_dev), inode: UInt64($0.st_ino)) },
            // libsystemd reports success even if journald's socket doesn't exist, and the event would be lost.
            journalAccepts: access("/run/systemd/journal/socket", W_OK) == 0
        )
    }

    /// The rule of systemd.exec(5): `$JOURNAL_STREAM` contains the device and inode that stderr must have, because the
    /// variable may be inherited by a process whose stderr goes elsewhere.
    static func choose(
        journalStream: String?, stderr: (device: UInt64, inode: UInt64)?, journalAccepts: Bool
    ) -> LogDestination {
        guard let journalStream, let stderr, journalStream == "\(stderr.device):\(stderr.inode)" else {
            return .stderr(prefixesPriority: false)
        }
        return journalAccepts ? .journal : .stderr(prefixesPriority: true)
    }

    /// A handler that logs to this destination, for `LoggingSystem.bootstrap`.
    ///
    /// - Parameters:
    ///   - identifier: the name of the program in the journal.
    ///   - threshold: the level, shared by all handlers and adjustable while the daemon runs.
    package func handler(
        identifier: String = "wsd", threshold: LogThreshold, metadataProvider: Logger.MetadataProvider? = nil
    ) -> any LogHandler {
        switch self {
        case .journal:
            JournalLogHandler(identifier: identifier, threshold: threshold, metadataProvider: metadataProvider)
        case .stderr(let prefixesPriority):
            StderrLogHandler(
                threshold: threshold, prefixesPriority: prefixesPriority, metadataProvider: metadataProvider)
        }
    }
}

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
