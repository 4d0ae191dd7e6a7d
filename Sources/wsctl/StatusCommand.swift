import ArgumentParser
import Control

/// `wsctl status`: shows the state of the hub.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the state of the hub.",
        discussion: """
            Counters start with the daemon. Every user may run this command, and no other: it identifies no client.

            EXAMPLES
              wsctl status
              wsctl status --json | jq .connections
            """ + ExitStatus.help)

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let status = try DaemonClient.forFigures(options).call(GetStatus.name, returning: GetStatus.Reply.self).status
        if options.json { return try Output.standard.write(line: JSONLine.bytes(status)) }
        for line in StatusText.lines(status) { try Output.standard.write(line: line) }
    }
}
