import Glibc
package import Logging

/// Logs a line per event to stderr: `LEVEL message key=value`.
package struct StderrLogHandler: LogHandler {
    /// Values that every event of this logger carries.
    package var metadata: Logger.Metadata = [:]
    /// Values that every event of the current task carries.
    package var metadataProvider: Logger.MetadataProvider?

    private let threshold: LogThreshold
    private var ownLevel: Logger.Level?
    private let prefixesPriority: Bool
    private let descriptor: Int32

    /// A handler that begins lines with `<n>`, the priority as in sd-daemon(3), if `prefixesPriority` is true.
    package init(
        threshold: LogThreshold, prefixesPriority: Bool = false, metadataProvider: Logger.MetadataProvider? = nil
    ) {
        self.init(
            threshold: threshold, prefixesPriority: prefixesPriority, metadataProvider: metadataProvider,
            descriptor: STDERR_FILENO)
    }

    /// A handler with another destination, for tests.
    init(
        threshold: LogThreshold, prefixesPriority: Bool, metadataProvider: Logger.MetadataProvider? = nil,
        descriptor: Int32
    ) {
        self.threshold = threshold
        self.prefixesPriority = prefixesPriority
        self.metadataProvider = metadataProvider
        self.descriptor = descriptor
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

    /// Writes one event.
    package func log(event: LogEvent) {
        write(event, metadata: event.allMetadata(logger: metadata, provider: metadataProvider))
    }

    /// Writes one event with metadata that is already complete.
    func write(_ event: LogEvent, metadata: Logger.Metadata) {
        let prefix = prefixesPriority ? "<\(event.level.priority)>" : ""
        let level = event.level.rawValue.uppercased()
        var line = "\(prefix)\(level) \(LogText.line(event, metadata: metadata))\n"
        line.withUTF8 { bytes in
            // One write per line, so that lines of several threads don't mix. Another write is needed only if a pipe
            // didn't take the whole line; if the reader doesn't read, the line is lost rather than the daemon stopped.
            var rest = UnsafeRawBufferPointer(bytes)
            while let base = rest.baseAddress, !rest.isEmpty {
                let count = Glibc.write(descriptor, base, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    return
                }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
        }
    }
}
