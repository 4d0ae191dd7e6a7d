import ArgumentParser
import Control
import Terminal

/// `wsctl config`: shows the configuration in force.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Show the configuration in force and the origin of each value, or how it differs from the files.",
        discussion: """
            With --diff, shows only the values that differ on disk, which 'wsctl reload' or a restart would change. \
            The exit status is 0 if there is no difference, and 1 otherwise.

            EXAMPLES
              wsctl config
              wsctl config limits.channels
              wsctl config --diff && echo "as on disk"
            """ + ExitStatus.help)

    @Argument(help: "Show only this key, or all keys of the table of this name.", completion: Completion.keys)
    var key: String?

    @Flag(help: "Show only the values that differ on disk.")
    var diff = false

    @OptionGroup var options: GlobalOptions

    func run() throws {
        try options.tellingFailuresInJSON {
            let reply = try DaemonClient.forActing(options).call(
                GetConfiguration.name, returning: GetConfiguration.Reply.self)
            diff ? try showDifferences(reply) : try show(reply.settings)
        }
    }

    private func show(_ settings: [GetConfiguration.Setting]) throws {
        let meant = settings.filter { isMeant($0.key) }
        if let key, meant.isEmpty { throw SettingText.unknown(key) }
        for setting in meant { try Output.standard.write(line: SettingText.line(setting, options)) }
    }

    private func showDifferences(_ reply: GetConfiguration.Reply) throws {
        // A key that exists only on disk is known as well.
        let known = reply.settings.map(\.key) + reply.differences.map(\.key)
        if let key, !known.contains(where: isMeant) { throw SettingText.unknown(key) }
        guard reply.errors.isEmpty else {
            throw Failure(
                reply.errors.joined(separator: "\n"), advice: "What is on disk can't be read; a reload would fail.")
        }
        let meant = reply.differences.filter { isMeant($0.key) }
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

    private func isMeant(_ name: String) -> Bool { key.map { SettingText.isOf(name, $0) } ?? true }
}
