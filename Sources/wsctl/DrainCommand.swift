import ArgumentParser
import Control
import Glibc

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
