import CSystemd
import Glibc
import Logging

/// A log event as fields of the journal: systemd.journal-fields(7).
///
/// `MESSAGE` is the same line as on stderr, including the metadata, because `journalctl` shows nothing else by default.
/// Each metadata value also has a field, complete and unescaped, for selection.
struct JournalRecord {
    /// The fields as `NAME=value`, in the order of `sd_journal_sendv`. Values may hold any byte.
    private(set) var fields: [[UInt8]] = []

    init(_ event: LogEvent, metadata: Logger.Metadata, identifier: String) {
        append("MESSAGE", LogText.line(event, metadata: metadata))
        append("PRIORITY", String(event.level.priority))
        append("SYSLOG_IDENTIFIER", identifier)
        append("CODE_FILE", event.file)
        append("CODE_LINE", String(event.line))
        append("CODE_FUNC", event.function)
        for (key, value) in metadata {
            append(Self.fieldName(key), value.description)
        }
    }

    private mutating func append(_ name: String, _ value: String) {
        fields.append(Array("\(name)=\(value)".utf8))
    }

    /// The metadata key as a field name: `userAgent` and `user-agent` become `WSD_USER_AGENT`.
    static func fieldName(_ key: String) -> String {
        let scalars = Array(key.unicodeScalars)
        var name = "WSD"
        var wordBegins = true
        for (index, scalar) in scalars.enumerated() {
            guard scalar.isASCII, scalar.properties.isAlphabetic || scalar.properties.numericType != nil else {
                wordBegins = true
                continue
            }
            if ("A"..."Z").contains(scalar), index > 0 {
                // A capital begins a word after a small letter or digit, or as the last of several capitals, as in
                // "URLPath".
                let previous = scalars[index - 1]
                let nextIsSmall = index + 1 < scalars.count && ("a"..."z").contains(scalars[index + 1])
                if !("A"..."Z").contains(previous) || nextIsSmall { wordBegins = true }
            }
            if wordBegins { name += "_" }
            wordBegins = false
            name += String(scalar).uppercased()
        }
        // journald drops fields with longer names.
        return String(name.prefix(64))
    }

    /// Sends the record to journald; false if it was refused.
    func send() -> Bool {
        let bytes = fields.flatMap { $0 }
        return bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return false }
            var offset = 0
            // sendmsg(2) doesn't write through these pointers, but iovec has no const.
            let vectors = fields.map { field in
                defer { offset += field.count }
                return iovec(iov_base: UnsafeMutableRawPointer(mutating: base + offset), iov_len: field.count)
            }
            return sd_journal_sendv(vectors, Int32(vectors.count)) == 0
        }
    }
}
