import ArgumentParser
import Control

/// `wsctl show ID`: shows everything about one connection.
struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one connection.",
        discussion: """
            EXAMPLES
              wsctl show h0agv7h6n
              wsctl show --json h0agv7h6n | jq -r .userAgent
            """ + ExitStatus.help)

    @Argument(
        help: ArgumentHelp("The connection's id, from 'wsctl list'.", valueName: "id"),
        completion: Completion.connections)
    var id: String

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let connection = try DaemonClient.forLooking(options)
            .call(Show.name, Show.Parameters(id: id), returning: Show.Reply.self).connection
        if options.json { return try Output.standard.write(line: JSONLine.bytes(connection)) }
        for line in StatusText.lines(connection, now: WallClock.now) {
            try Output.standard.write(line: line)
        }
    }
}
