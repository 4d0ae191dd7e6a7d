import ArgumentParser
import Control
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
    }
}
