import ArgumentParser
import Control
import Glibc
import Terminal

/// `wsctl reload`: reads the configuration and the keys again.
struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Read the configuration and the keys again.",
        discussion: """
            Like SIGHUP and 'systemctl reload wsd'. Everything is checked first, and applied as a whole or not at \
            all. Prints the keys that changed, and those that take effect only after a restart.

            EXAMPLES
              wsctl reload
              wsctl reload --json | jq -e '.needsRestart == []'
            """ + ExitStatus.help)

    @OptionGroup var options: GlobalOptions

    func run() throws {
        try options.tellingFailuresInJSON { try reload() }
    }

    private func reload() throws {
        let outcome = try DaemonClient.forActing(options).call(Reload.name, returning: ReloadOutcome.self)
        if options.json { return try Output.standard.write(line: JSONLine.bytes(outcome)) }
        guard !options.quiet else { return }
        let changed =
            outcome.changed.isEmpty ? "no key of the configuration changed" : outcome.changed.joined(separator: ", ")
        try Output.standard.write(line: "reloaded: \(TerminalText.escape(changed))")
        if !outcome.needsRestart.isEmpty {
            let waiting = TerminalText.escape(outcome.needsRestart.joined(separator: ", "))
            try Output.standard.write(line: "only after a restart: \(waiting)")
        }
        if let unused = outcome.unused, !unused.isEmpty {
            let keys = TerminalText.escape(unused.joined(separator: ", "))
            try Output.standard.write(line: "not used, for systemd passes sockets: \(keys)")
        }
        for notice in outcome.notices ?? [] {
            try Output.standard.write(line: "notice: \(TerminalText.escape(notice))")
        }
    }
}

/// `wsctl log-level [LEVEL]`: shows or changes the log level.
struct LogLevelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level",
        abstract: "Show the daemon's log level, or change it until the next reload or restart.",
        discussion: """
            Levels: trace, debug, info, notice, warning, error, critical. From debug on, every connection is logged.

            EXAMPLES
              wsctl log-level debug
              wsctl log-level
            """ + ExitStatus.help)

    @Argument(
        help: "The new level.",
        completion: .list(["trace", "debug", "info", "notice", "warning", "error", "critical"]))
    var level: String?

    @OptionGroup var options: GlobalOptions

    func run() throws {
        try options.tellingFailuresInJSON {
            if let level { return try SettingText.set(["log.level": level], options) }
            let reply = try DaemonClient.forActing(options).call(
                GetConfiguration.name, returning: GetConfiguration.Reply.self)
            for setting in reply.settings where setting.key == "log.level" {
                try Output.standard.write(line: SettingText.line(setting, options))
            }
        }
    }
}

/// `wsctl drain`: stops the daemon gracefully.
struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Stop the daemon gracefully.",
        discussion: """
            Like SIGTERM: the daemon accepts no new connections, closes the open ones over the configured period, and \
            exits. The command returns at once unless --wait is given. If systemd holds the listeners, the next \
            client starts the daemon again.

            EXAMPLES
              wsctl drain
              wsctl drain --wait && echo gone
            """ + ExitStatus.help)

    @Flag(help: "Wait until the daemon has ended.")
    var wait = false

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let client = try DaemonClient.forActing(options)
        let drain = try client.call(Drain.name, returning: Drain.Reply.self).drain
        if options.json {
            try Output.standard.write(line: JSONLine.bytes(drain))
        } else if !options.quiet {
            let left = HumanText.plural(drain.connectionsLeft, "connection")
            let time = HumanText.duration(seconds: drain.secondsLeft)
            try Output.standard.write(line: "draining \(left), at most \(time)")
        }
        try Output.standard.flush()
        if wait { try waitForTheEnd(client) }
    }

    /// Asks until the daemon no longer answers, always on the same connection: a new one could start the daemon again.
    private func waitForTheEnd(_ client: DaemonClient) throws {
        while true {
            do throws(Failure) {
                _ = try client.call(GetStatus.name, returning: GetStatus.Reply.self)
            } catch {
                guard error.exitCode == EX_UNAVAILABLE else { throw error }
                return
            }
            usleep(200_000)
        }
    }
}
