import Control
import Terminal

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
