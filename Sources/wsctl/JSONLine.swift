import Base
import Control
import FoundationEssentials
import Glibc
import Terminal
import Varlink

/// A value as one line of JSON.
enum JSONLine {
    /// The line, without its end. JSON permits DEL and the C1 control characters unescaped, but some terminals obey
    /// them, so they are written as escapes, which mean the same.
    static func bytes(_ value: some Encodable) throws -> [UInt8] {
        var line: [UInt8] = []
        var precededByC2 = false
        for byte in try VarlinkJSON.encode(value) {
            if precededByC2, (0x80...0x9f).contains(byte) {
                line.removeLast()
                line += escape(byte)
            } else if byte == 0x7f {
                line += escape(byte)
            } else {
                line.append(byte)
            }
            precededByC2 = byte == 0xc2
        }
        return line
    }

    private static func escape(_ byte: UInt8) -> [UInt8] {
        Array("\\u00".utf8) + Array(String(byte, radix: 16).utf8)
    }
}

/// Shows and sets keys of the configuration.
enum SettingText {
    static func line(_ setting: GetConfiguration.Setting, _ options: GlobalOptions) throws -> [UInt8] {
        guard !options.json else { return try JSONLine.bytes(setting) }
        let unused = setting.unused.map { "; not used: \($0)" } ?? ""
        return Array(TerminalText.escape("\(setting.key) = \(setting.value)  # \(setting.origin)\(unused)").utf8)
    }

    /// Whether a key has this name or is in the table of this name.
    static func isOf(_ key: String, _ name: String) -> Bool {
        key == name || key.hasPrefix("\(name).") || key.hasPrefix("\(name)[")
    }

    /// The failure for a key that doesn't exist.
    static func unknown(_ key: String) -> Failure { Failure("no key '\(key)'", advice: "See wsd.toml(5).") }

    static func set(_ values: [String: String], _ options: GlobalOptions) throws {
        let outcome = try DaemonClient.forActing(options).call(
            SetConfiguration.name, SetConfiguration.Parameters(values: values), returning: ReloadOutcome.self)
        if options.json { return try Output.standard.write(line: JSONLine.bytes(outcome)) }
        guard !options.quiet else { return }
        let text = outcome.changed.isEmpty ? "nothing changed" : "set: \(outcome.changed.joined(separator: ", "))"
        try Output.standard.write(line: TerminalText.escape(text))
    }
}

/// The time of day, and a monotonic clock.
enum WallClock {
    /// The time of day.
    static var now: Timestamp { Timestamp(millisecondsSinceEpoch: read(CLOCK_REALTIME)) }

    /// Milliseconds of a clock that never goes back.
    static var monotonicMilliseconds: Int64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
