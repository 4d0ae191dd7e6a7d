import ArgumentParser
import Control
import Operations
import Terminal
import Varlink

/// `wsctl channels`: lists the channels.
struct ChannelsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "channels",
        abstract: "List channels, and the number of connections in each.",
        discussion: """
            If a pattern is given and no channel matches it, the exit status is 1.

            EXAMPLES
              wsctl channels
              wsctl channels 'room:*' --json | jq -s 'map(.connections) | add'
              wsctl channels --cluster
            """ + ExitStatus.help)

    @Argument(
        help: "List only channels that match this pattern; * stands for any run of characters.",
        completion: Completion.channels)
    var pattern: String?

    @OptionGroup var nodes: ClusterOptions
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let client = try DaemonClient.forLooking(options)
        var table = Table(
            columns: [("CONNECTIONS", .right), ("CHANNEL", .left)], for: .standard, hasLegend: !options.noLegend)
        var count = 0
        var after: String?
        var silent: [String] = []
        repeat {
            let reply = try client.call(
                ListChannels.name, ListChannels.Parameters(pattern: pattern, after: after, cluster: nodes.parameter),
                returning: ListChannels.Reply.self)
            count += reply.channels.count
            silent += reply.silent ?? []
            if options.json {
                for channel in reply.channels { try Output.standard.write(line: JSONLine.bytes(channel)) }
            } else if !reply.channels.isEmpty {
                let rows = reply.channels.map { ["\($0.connections)", TerminalText.escape($0.name)] }
                try table.write(rows, to: .standard)
            }
            after = reply.next
        } while after != nil
        try ClusterOptions.check(silent, options)
        if let pattern, count == 0 { throw Failure(options.quiet ? nil : "no channel matches '\(pattern)'") }
        if !options.json && count == 0 { options.note("no channels") }
    }
}

/// `wsctl presence`: shows the users in a channel.
struct PresenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "presence",
        abstract: "Show the users in a channel.",
        discussion: """
            The channel's setting presence must be true; otherwise use 'wsctl list --channel' to see its connections.

            EXAMPLES
              wsctl presence room:1
            """ + ExitStatus.help)

    @Argument(help: "The channel.", completion: Completion.channels)
    var channel: String

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let detail = try DaemonClient.forLooking(options).call(
            ShowChannel.name, ShowChannel.Parameters(channel: channel), returning: ShowChannel.Reply.self
        ).channel
        guard let users = detail.users else {
            throw Failure("'\(channel)' has no presence", advice: "Set it in [channels.\"PATTERN\"]; see wsd.toml(5).")
        }
        if options.json {
            for user in users { try Output.standard.write(line: JSONLine.bytes(user)) }
        } else if users.isEmpty {
            options.note("nobody is there")
        } else {
            var table = Table(
                columns: [("SINCE", .left), ("CONNECTIONS", .right), ("USER", .left)], for: .standard,
                hasLegend: !options.noLegend)
            let rows = users.map { ["\($0.since)", "\($0.connections)", TerminalText.escape($0.user)] }
            try table.write(rows, to: .standard)
        }
    }
}

/// `wsctl history`: shows the messages kept for a channel.
struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Show the messages kept for a channel as JSON, one per line.",
        discussion: """
            The channel's settings must have a history.

            EXAMPLES
              wsctl history room:1
              wsctl history room:1 --limit 1000 | jq -r '.from + ": " + (.data | tostring)'
            """ + ExitStatus.help)

    @Argument(help: "The channel.", completion: Completion.channels)
    var channel: String

    @Option(help: "The maximum number of messages, up to 1000.")
    var limit = 50

    @OptionGroup var options: GlobalOptions

    func validate() throws {
        guard (1...ShowChannel.messageLimit).contains(limit) else {
            throw ValidationError("--limit \(limit): take 1 to \(ShowChannel.messageLimit)")
        }
    }

    func run() throws {
        let detail = try DaemonClient.forActing(options).call(
            ShowChannel.name, ShowChannel.Parameters(channel: channel, limit: limit),
            returning: ShowChannel.Reply.self
        ).channel
        guard let messages = detail.messages else {
            throw Failure("'\(channel)' has no history", advice: "Set it in [channels.\"PATTERN\"]; see wsd.toml(5).")
        }
        for message in messages { try Output.standard.write(line: JSONLine.bytes(message)) }
    }
}
