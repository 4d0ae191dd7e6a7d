package import Logging

/// Logs to the journal with fields, which `journalctl WSD_CONNECTION=42` can select.
package struct JournalLogHandler: LogHandler {
    /// Values that every event of this logger carries.
    package var metadata: Logger.Metadata = [:]
    /// Values that every event of the current task carries.
    package var metadataProvider: Logger.MetadataProvider?

    private let identifier: String
    private let threshold: LogThreshold
    private var ownLevel: Logger.Level?
    private let fallback: StderrLogHandler

    /// A handler whose events carry `SYSLOG_IDENTIFIER=identifier`.
    package init(
        identifier: String, threshold: LogThreshold, metadataProvider: Logger.MetadataProvider? = nil
    ) {
        self.identifier = identifier
        self.threshold = threshold
        self.metadataProvider = metadataProvider
        fallback = StderrLogHandler(threshold: threshold, prefixesPriority: true)
    }

    /// The level in force: the shared threshold, unless this one logger was given its own.
    package var logLevel: Logger.Level {
        get { ownLevel ?? threshold.level }
        set { ownLevel = newValue }
    }

    /// A value that every event of this logger carries.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Sends one event. If the journal refuses it, it is written as a line to stderr, which is connected to the journal
    /// as well.
    package func log(event: LogEvent) {
        let all = event.allMetadata(logger: metadata, provider: metadataProvider)
        if !JournalRecord(event, metadata: all, identifier: identifier).send() {
            fallback.write(event, metadata: all)
        }
    }
}
