import ArgumentParser
import Control
import Terminal

/// `wsctl subscribe CHANNEL`: shows the messages of a channel as they are published.
struct SubscribeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscribe",
        abstract: "Follow a channel: print each message as it comes, one per line.",
        discussion: """
            The members of the channel don't see the subscriber. Messages are shown as clients of the relay protocol \
            get them; binary ones in Base64, with --json as "data". If messages come too fast to be shown, standard \
            error says how many were left out. The command ends with Control-C, or when the daemon ends, then with \
            exit status 69.

            EXAMPLES
              wsctl subscribe lobby
              wsctl subscribe room:1 --json | jq -r .message
            """ + ExitStatus.help)

    @Argument(help: "The channel.", completion: Completion.channels)
    var channel: String

    @Option(help: ArgumentHelp("Exit after this many messages.", valueName: "n"))
    var count: Int?

    @OptionGroup var options: GlobalOptions

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count \(count): take 1 or more") }
    }

    func run() throws {
        let output = Output.standard
        var seen = 0
        var lost = 0
        var hasBegun = false
        try DaemonClient.forActing(options).follow(
            FollowChannel.name, FollowChannel.Parameters(channel: channel), returning: FollowChannel.Reply.self
        ) { reply in
            if reply.lost > lost {
                options.note("left out \(HumanText.plural(reply.lost - lost, "message")) that came too fast")
            }
            lost = reply.lost
            guard let text = reply.message ?? reply.data else {
                // The last reply of a daemon that drains has no message either.
                if !hasBegun { options.note("following \(channel)") }
                hasBegun = true
                return
            }
            try output.write(line: options.json ? JSONLine.bytes(reply) : Array(TerminalText.escape(text).utf8))
            try output.flush()
            seen += 1
            if seen == count { throw Output.ReaderGone() }
        }
    }
}
