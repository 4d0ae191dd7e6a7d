import Logging

/// A log event as one line of text that no input can forge: `message key=value key="two words"`.
enum LogText {
    /// The maximum number of scalars that are shown of a value or a message. A client may send as much as its limits
    /// allow, and the journal splits a line at 48 KiB.
    static let valueLimit = 1024

    /// The message and the metadata, sorted by key.
    static func line(_ event: LogEvent, metadata: Logger.Metadata) -> String {
        var line = escaped(event.message.description)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " " + escaped(key) + "=" + quoted(value.description)
        }
        return line
    }

    /// The text, in quotes if it would not be recognisable as one value otherwise.
    static func quoted(_ text: String) -> String {
        let plain = !text.isEmpty && text.unicodeScalars.allSatisfy { $0 != " " && $0 != "\"" && $0 != "=" }
        return plain ? escaped(text) : "\"" + escaped(text, quote: true) + "\""
    }

    /// The text with everything that isn't printable written as `\n`, `\u{1B}` and so on, cut to `valueLimit`.
    static func escaped(_ text: String, quote: Bool = false) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            count += 1
            if count > valueLimit { return result + "…" }
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\\": result += "\\\\"
            case "\"" where quote: result += "\\\""
            case _ where isPrintable(scalar): result.unicodeScalars.append(scalar)
            default: result += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
            }
        }
        return result
    }

    /// Whether a scalar may be sent to a terminal unescaped. Control characters, line and paragraph separators, and
    /// invisible characters that change the direction of the text may not.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20..<0x7F: true
        case 0x00..<0xA0, 0x2028...0x202E, 0x2066...0x2069, 0x200E...0x200F, 0xFEFF: false
        default: true
        }
    }
}

extension LogEvent {
    /// The metadata of the logger, of the task and of the statement; later ones override earlier ones.
    func allMetadata(logger: Logger.Metadata, provider: Logger.MetadataProvider?) -> Logger.Metadata {
        var all = logger
        if let provider { all.merge(provider.get()) { $1 } }
        if let metadata { all.merge(metadata) { $1 } }
        if let error { all["error"] = .string(String(describing: error)) }
        return all
    }
}

extension Logger.Level {
    /// The severity of syslog(3), which `PRIORITY=` and the `<n>` prefix use.
    var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
