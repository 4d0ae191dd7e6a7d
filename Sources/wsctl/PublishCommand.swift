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
            recipients is not an error. With --json, the position is printed as well if the channel has a history.

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
        let content = try MessageArgument(message, isBinary: binary)
        let parameters = Publish.Parameters(channel: channel, message: content.text, data: content.base64)
        let reply = try DaemonClient.forActing(options)
            .call(Publish.name, parameters, returning: Publish.Reply.self)
        if options.json {
            try Output.standard.write(line: JSONLine.bytes(reply))
        } else if !options.quiet {
            try Output.standard.write(line: "sent to \(HumanText.plural(reply.recipients, "connection"))")
        }
    }
}

/// A message from the command line, or from standard input: text, or bytes in Base64.
struct MessageArgument {
    var text: String?
    var base64: String?

    /// - Parameter argument: the message, or `-` to read it.
    init(_ argument: String, isBinary: Bool) throws {
        let payload = argument == "-" ? try StandardInput.readAll() : Array(argument.utf8)
        guard !isBinary else {
            base64 = Data(payload).base64EncodedString()
            return
        }
        guard let valid = String(validating: payload, as: UTF8.self) else {
            throw Failure("the message is not UTF-8", advice: "Send it with --binary.")
        }
        text = valid
    }
}
