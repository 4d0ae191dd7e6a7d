import ArgumentParser
import Control

/// `wsctl limits [KEY[=VALUE]…]`: shows and changes limits while the daemon runs.
struct LimitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "Show the limits, or set some until the next reload or restart.",
        discussion: """
            All live keys of [server], [websocket], [queue], [limits], [drain] and [log] can be set. To keep a value, \
            write it into the configuration file as well. A key without a value shows this key, and the \
            name of a table, such as limits, all its keys.

            EXAMPLES
              wsctl limits
              wsctl limits queue limits.channels
              wsctl limits limits.messages_per_second=50 queue.policy=drop-oldest
              wsctl limits server.max_connections=200000
            """ + ExitStatus.help)

    @Argument(
        help: ArgumentHelp("Keys to set, or to show.", valueName: "key=value"), completion: Completion.settableKeys)
    var arguments: [String] = []

    @OptionGroup var options: GlobalOptions

    private var assignments: [(key: String, value: String)] {
        arguments.compactMap { argument in
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
    }

    func validate() throws {
        // A mixture could mean either to set or to show, so it is an error.
        if !assignments.isEmpty, let key = arguments.first(where: { !$0.contains("=") }) {
            throw ValidationError("'\(key)': write KEY=VALUE, or keys alone to see them")
        }
        for (place, assignment) in assignments.enumerated()
        where assignments[..<place].contains(where: { $0.key == assignment.key }) {
            throw ValidationError("\(assignment.key) is set twice")
        }
    }

    func run() throws {
        try options.tellingFailuresInJSON {
            if assignments.isEmpty { return try show() }
            try SettingText.set(Dictionary(assignments.map { ($0.key, $0.value) }) { $1 }, options)
        }
    }

    private func show() throws {
        let settings = try DaemonClient.forActing(options).call(
            GetConfiguration.name, returning: GetConfiguration.Reply.self
        ).settings.filter(\.isSettable)
        for key in arguments where !settings.contains(where: { SettingText.isOf($0.key, key) }) {
            throw Failure("no key '\(key)' that can be set", advice: "See 'wsctl limits', and wsd.toml(5).")
        }
        for setting in settings
        where arguments.isEmpty || arguments.contains(where: { SettingText.isOf(setting.key, $0) }) {
            try Output.standard.write(line: SettingText.line(setting, options))
        }
    }
}

extension GetConfiguration.Setting {
    private static let settableTables: Set = ["server", "websocket", "queue", "limits", "drain", "log"]

    /// Whether the key can be set while the daemon runs.
    var isSettable: Bool { live && Self.settableTables.contains(String(key.prefix { $0 != "." })) }
}
