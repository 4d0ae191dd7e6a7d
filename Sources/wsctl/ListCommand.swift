import ArgumentParser
import Control

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
            """ + ExitStatus.help)

    @OptionGroup(title: "Selection") var selection: FilterOptions
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let filter = selection.filter()
        let output = Output.standard
        let client = try DaemonClient.forLooking(options)
        var table = ConnectionTable(output: output, hasLegend: !options.noLegend, now: WallClock.now)
        var count = 0
        try client.callMore(List.name, List.Parameters(filter: filter), returning: ConnectionPage.self) { page in
            count += page.connections.count
            if options.json {
                for connection in page.connections { try output.write(line: JSONLine.bytes(connection)) }
            } else if !page.connections.isEmpty {
                try table.write(page.connections)
            }
            // Flushed once per page: the reader gets something to do, and one that has gone is noticed before the next
            // page.
            try output.flush()
        }
        if filter.hasCriteria && count == 0 { throw Failure(options.quiet ? nil : "no connection matches") }
        if !options.json && count == 0 { options.note("no connections") }
        if !options.json && count > 0 && !options.noLegend && output.isTerminal {
            options.note(HumanText.plural(count, "connection"))
        }
    }
}
