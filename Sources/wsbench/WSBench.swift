import ArgumentParser
import Glibc

/// The load generator: every mode is one file beside this one.
@main
struct WSBench: ParsableCommand {
    /// The version of this package.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "wsbench",
        abstract: "A load generator for WebSocket servers.",
        usage: "wsbench <mode> [<options>] <url> ...",
        discussion: """
            EXIT STATUS
              0   every message arrived once and in order, every connection stayed open
              1   a message was lost, a connection refused or closed, or the run failed
              64  wrong usage
              69  the server can't be reached

            EXAMPLES
              wsbench fanout -n 1000 ws://127.0.0.1:8080/ws                  as fast as possible
              wsbench fanout -n 1000 --rate 100 ws://127.0.0.1:8080/ws       at a given rate
              wsbench idle -n 10000 --pid $(pidof wsd) ws://127.0.0.1:8080/ws

            See wsbench(1), which also explains how to read the figures.
            """,
        version: "wsbench \(version)",
        subcommands: [FanoutCommand.self, EchoCommand.self, IdleCommand.self, StormCommand.self]
    )

    /// Runs a command line and exits with its code and our messages.
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let failure as Failure {
            for line in failure.lines { Output.write(line + "\n", to: STDERR_FILENO) }
            Glibc.exit(failure.exitCode)
        } catch {
            exit(withError: error)
        }
    }
}
