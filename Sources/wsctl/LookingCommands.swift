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
              wsctl show --cluster h0agv7h6n
            """ + ExitStatus.help)

    @Argument(
        help: ArgumentHelp("The connection's id, from 'wsctl list'.", valueName: "id"),
        completion: Completion.connections)
    var id: String

    @OptionGroup var nodes: ClusterOptions
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let connection = try DaemonClient.forLooking(options)
            .call(Show.name, Show.Parameters(id: id, cluster: nodes.parameter), returning: Show.Reply.self)
            .connection
        if options.json { return try Output.standard.write(line: JSONLine.bytes(connection)) }
        for line in StatusText.lines(connection, now: WallClock.now) {
            try Output.standard.write(line: line)
        }
    }
}

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

/// `wsctl list`: lists connections. They are written as they arrive, so memory use doesn't depend on their number.
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List connections.",
        discussion: """
            IN and OUT are messages/bytes. Selection options list only the connections that match all of them; if \
            none does, the exit status is 1.

            EXAMPLES
              wsctl list
              wsctl list --channel lobby --ip 2001:db8::/32
              wsctl list --json | jq -s length
              wsctl list --json | jq -r 'select(.queuedBytes > 100000) | .id' | xargs wsctl kick
              wsctl list --cluster --user alice
            """ + ExitStatus.help)

    @OptionGroup(title: "Selection") var selection: FilterOptions
    @OptionGroup var nodes: ClusterOptions
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let filter = selection.filter()
        let output = Output.standard
        let client = try DaemonClient.forLooking(options)
        var table = ConnectionTable(
            output: output, hasLegend: !options.noLegend, now: WallClock.now, hasNodes: nodes.cluster)
        var count = 0
        var silent: [String] = []
        let parameters = List.Parameters(filter: filter, cluster: nodes.parameter)
        try client.callMore(List.name, parameters, returning: ConnectionPage.self) { page in
            count += page.connections.count
            silent += page.silent ?? []
            if options.json {
                for connection in page.connections { try output.write(line: JSONLine.bytes(connection)) }
            } else if !page.connections.isEmpty {
                try table.write(page.connections)
            }
            // Flushed once per page: the reader gets something to do, and one that has gone is noticed before the next
            // page.
            try output.flush()
        }
        if filter.hasCriteria && count == 0 {
            throw ClusterOptions.failure(silent, options)
                ?? Failure(options.quiet ? nil : "no connection matches \(selection.text ?? "")")
        }
        if !options.json && count == 0 { options.note("no connections") }
        if !options.json && count > 0 && !options.noLegend && output.isTerminal {
            options.note(HumanText.plural(count, "connection"))
        }
        try ClusterOptions.check(silent, options)
    }
}
