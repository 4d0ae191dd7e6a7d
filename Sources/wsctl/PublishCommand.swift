import ArgumentParser
import Control
import FoundationEssentials

/// `wsctl publish CHANNEL MESSAGE|-`: publishes a message in a channel.
struct PublishCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publish a message in a channel.",
        discussion: """
            The message gets a number, and is kept if the channel has a history. Prints the number of recipients; no \
            recipients is not an error.

            EXAMPLES
              wsctl publish news '{"headline":"it works"}'
              wsctl publish --binary updates - < update.bin
            """ + ExitStatus.help)

    @Argument(help: "The channel.", completion: Completion.channels)
    var channel: String

    @Argument(help: ArgumentHelp("The message, or - for standard input.", valueName: "message"))
    var message: String

    @Flag(help: "Send a binary message rather than text.")
    var binary = false

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let parameters = try Broadcast.Parameters(message, isBinary: binary, channel: channel, user: nil)
        let reply = try DaemonClient.forActing(options)
            .call(Broadcast.name, parameters, returning: Broadcast.Reply.self)
        if options.json {
            try Output.standard.write(line: JSONLine.bytes(reply))
        } else if !options.quiet {
            try Output.standard.write(line: "sent to \(HumanText.plural(reply.recipients, "connection"))")
        }
    }
}

extension Broadcast.Parameters {
    /// Takes a message from the command line, or reads it from standard input.
    init(_ message: String, isBinary: Bool, channel: String?, user: String?) throws {
        let payload = message == "-" ? try StandardInput.readAll() : Array(message.utf8)
        guard !isBinary else {
            self.init(data: Data(payload).base64EncodedString(), channel: channel, user: user)
            return
        }
        guard let text = String(validating: payload, as: UTF8.self) else {
            throw Failure("the message is not UTF-8", advice: "Send it with --binary.")
        }
        self.init(message: text, channel: channel, user: user)
    }
}
