import ArgumentParser
import Control

/// `wsctl broadcast MESSAGE|-`: sends a message to many connections.
struct BroadcastCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broadcast",
        abstract: "Send a message to everyone, or to everyone in a channel.",
        discussion: """
            Prints the number of recipients; if there is none, the exit status is 1. A message from standard input is \
            sent unchanged, including a newline at its end.

            EXAMPLES
              wsctl broadcast "maintenance in five minutes"
              wsctl broadcast --channel lobby '{"type":"reload"}'
              wsctl broadcast --user alice "your report is ready"
              wsctl broadcast --binary - < update.bin
              wsctl broadcast --cluster "maintenance in five minutes"
            """ + ExitStatus.help)

    @Argument(help: ArgumentHelp("The message, or - for standard input.", valueName: "message"))
    var message: String

    @Option(
        help: ArgumentHelp("Send only to the subscribers of this channel.", valueName: "name"),
        completion: Completion.channels)
    var channel: String?

    @Option(
        help: ArgumentHelp("Send only to this user's connections.", valueName: "name"), completion: Completion.users)
    var user: String?

    @Flag(help: "Send a binary message rather than text.")
    var binary = false

    @OptionGroup var nodes: ClusterOptions
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let content = try MessageArgument(message, isBinary: binary)
        let parameters = Broadcast.Parameters(
            message: content.text, data: content.base64, channel: channel, user: user,
            cluster: nodes.parameter)
        let reply = try DaemonClient.forActing(options)
            .call(Broadcast.name, parameters, returning: Broadcast.Reply.self)
        if options.json {
            try Output.standard.write(line: JSONLine.bytes(reply))
        } else if !options.quiet && reply.recipients > 0 {
            try Output.standard.write(line: "sent to \(HumanText.plural(reply.recipients, "connection"))")
        }
        try ClusterOptions.check(reply.silent, options)
        if reply.recipients == 0 { throw Failure(options.quiet ? nil : "no recipient: \(absence)") }
    }

    /// Why there is no recipient.
    private var absence: String {
        let place = channel.map { " in channel '\($0)'" } ?? ""
        guard let user else { return "no connection is" + (place.isEmpty ? " open" : place) }
        return "user '\(user)' has no connection\(place)"
    }
}
