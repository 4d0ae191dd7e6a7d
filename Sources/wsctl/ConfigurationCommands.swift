import ArgumentParser
import Control
import Terminal

/// `wsctl config`: what is in force.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Show the configuration in force, where each value comes from, and what is otherwise on disk.",
        discussion: """
            With --diff only what is otherwise on disk: what 'wsctl reload' or a restart would change; if nothing, the exit \
            status is 0, else 1.

            EXAMPLES
              wsctl config
              wsctl config limits.channels
              wsctl config --diff && echo "as on disk"
            """)

    @Argument(help: "Only this key, or the keys that begin with it.")
    var key: String?

    @Flag(help: "Only what is otherwise on disk.")
    var diff = false

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let reply = try DaemonClient.forActing(options).call(
            GetConfiguration.name, returning: GetConfiguration.Reply.self)
        diff ? try show(reply.differences, reply.errors) : try show(reply.settings)
    }

    private func show(_ settings: [GetConfiguration.Setting]) throws {
        let meant = settings.filter { isMeant($0.key) }
        for setting in meant { try Output.standard.write(line: SettingText.line(setting, options)) }
        if let key, meant.isEmpty { throw Failure("no key '\(key)'", advice: "See wsd.toml(5).") }
    }

    private func show(_ differences: [GetConfiguration.Difference], _ errors: [String]) throws {
        guard errors.isEmpty else {
            throw Failure(errors.joined(separator: "\n"), advice: "What is on disk can't be read; a reload would fail.")
        }
        let meant = differences.filter { isMeant($0.key) }
        for difference in meant {
            guard !options.json else {
                try Output.standard.write(line: JSONLine.bytes(difference))
                continue
            }
            let when = difference.live ? "reload" : "restart"
            let line = "\(difference.key): \(difference.running ?? "-") -> \(difference.disk ?? "-") (\(when))"
            try Output.standard.write(line: TerminalText.escape(line))
        }
        if !meant.isEmpty { throw Failure(nil) }
    }

    private func isMeant(_ name: String) -> Bool {
        key.map { name == $0 || name.hasPrefix("\($0).") || name.hasPrefix("\($0)[") } ?? true
    }
}

/// `wsctl limits [KEY=VALUE…]`: read and change limits while the daemon runs.
struct LimitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "Show the limits, or set some until the next reload or restart.",
        discussion: """
            Every key of [server], [websocket], [queue], [limits], [drain] and [log] that applies live can be set. To keep a \
            value, write it into the configuration file as well.

            EXAMPLES
              wsctl limits
              wsctl limits limits.messages_per_second=50 queue.policy=drop-oldest
              wsctl limits server.max_connections=200000
            """)

    @Argument(help: ArgumentHelp("Keys to set.", valueName: "key=value"))
    var assignments: [String] = []

    @OptionGroup var options: GlobalOptions

    /// What is shown: how much of something there may be.
    private static let shown: Set = [
        "server.max_connections", "server.max_connections_per_ip", "server.handshake_timeout",
        "server.max_header_size", "websocket.max_message_size", "queue.limit", "queue.policy", "queue.write_timeout",
        "limits.messages_per_second", "limits.burst", "limits.channels", "limits.errors_per_minute",
        "limits.history_bytes",
    ]

    func run() throws {
        guard assignments.isEmpty else {
            var values: [String: String] = [:]
            for assignment in assignments {
                let parts = assignment.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw ValidationError("'\(assignment)': write KEY=VALUE") }
                values[String(parts[0])] = String(parts[1])
            }
            return try SettingText.set(values, options)
        }
        let reply = try DaemonClient.forActing(options).call(
            GetConfiguration.name, returning: GetConfiguration.Reply.self)
        for setting in reply.settings where Self.shown.contains(setting.key) {
            try Output.standard.write(line: SettingText.line(setting, options))
        }
    }
}

/// `wsctl log-level [LEVEL]`: read or change how much is logged.
struct LogLevelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level",
        abstract: "Show how much the daemon logs, or change it until the next reload or restart.",
        discussion: """
            Levels: trace, debug, info, notice, warning, error, critical. From debug on, every connection is logged.

            EXAMPLES
              wsctl log-level debug
              wsctl log-level
            """)

    @Argument(
        help: "The new level.",
        completion: .list(["trace", "debug", "info", "notice", "warning", "error", "critical"]))
    var level: String?

    @OptionGroup var options: GlobalOptions

    func run() throws {
        if let level { return try SettingText.set(["log.level": level], options) }
        let reply = try DaemonClient.forActing(options).call(
            GetConfiguration.name, returning: GetConfiguration.Reply.self)
        for setting in reply.settings where setting.key == "log.level" {
            try Output.standard.write(line: SettingText.line(setting, options))
        }
    }
}

/// Keys of the configuration, shown and set.
enum SettingText {
    static func line(_ setting: GetConfiguration.Setting, _ options: GlobalOptions) throws -> [UInt8] {
        guard !options.json else { return try JSONLine.bytes(setting) }
        return Array(TerminalText.escape("\(setting.key) = \(setting.value)  # \(setting.origin)").utf8)
    }

    static func set(_ values: [String: String], _ options: GlobalOptions) throws {
        let outcome = try DaemonClient.forActing(options).call(
            SetConfiguration.name, SetConfiguration.Parameters(values: values), returning: ReloadOutcome.self)
        if options.json { return try Output.standard.write(line: JSONLine.bytes(outcome)) }
        guard !options.quiet else { return }
        let text = outcome.changed.isEmpty ? "nothing changed" : "set: \(outcome.changed.joined(separator: ", "))"
        try Output.standard.write(line: TerminalText.escape(text))
    }
}
