import ArgumentParser
import Control

/// `wsctl status`: the hub as a whole.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how the hub is.",
        discussion: """
            Counters are since the daemon started. This is the only command that everybody may use: it names no client.

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
