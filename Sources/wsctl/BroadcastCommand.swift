import ArgumentParser
import Control
import FoundationEssentials

/// `wsctl broadcast MESSAGE|-`: a message to many.
struct BroadcastCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broadcast",
        abstract: "Send a message to everyone, or to everyone in a channel.",
        discussion: """
            Prints to how many connections it goes; if to none, the exit status is 1. A message from standard input goes \
            as it comes, with its last newline.

            EXAMPLES
              wsctl broadcast "maintenance in five minutes"
              wsctl broadcast --channel lobby '{"type":"reload"}'
              wsctl broadcast --user alice "your report is ready"
              wsctl broadcast --binary - < update.bin
            """)

    @Argument(help: ArgumentHelp("The message, or - for standard input.", valueName: "message"))
    var message: String

    @Option(help: ArgumentHelp("To the subscribers of this channel only.", valueName: "name"))
    var channel: String?

    @Option(help: ArgumentHelp("To this user's connections only.", valueName: "name"))
    var user: String?

    @Flag(help: "Send a binary message rather than text.")
    var binary = false

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let payload = message == "-" ? try StandardInput.readAll() : Array(message.utf8)
        let reply = try DaemonClient.forActing(options)
            .call(Broadcast.name, try parameters(payload), returning: Broadcast.Reply.self)
        if options.json {
            try Output.standard.write(line: JSONLine.bytes(reply))
        } else if !options.quiet && reply.recipients > 0 {
            try Output.standard.write(line: "sent to \(HumanText.plural(reply.recipients, "connection"))")
        }
        if reply.recipients == 0 { throw Failure(options.quiet ? nil : "nobody is there to get it") }
    }

    private func parameters(_ payload: [UInt8]) throws -> Broadcast.Parameters {
        if binary {
            return Broadcast.Parameters(data: Data(payload).base64EncodedString(), channel: channel, user: user)
        }
        guard let text = String(validating: payload, as: UTF8.self) else {
            throw Failure("the message is not UTF-8", advice: "Send it with --binary.")
        }
        return Broadcast.Parameters(message: text, channel: channel, user: user)
    }
}
