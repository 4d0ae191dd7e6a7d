import ArgumentParser
import Base
import Control
import Operations

/// `wsctl kick ID…`: closes connections.
struct KickCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kick",
        abstract: "Close connections.",
        discussion: """
            Select the connections by their ids, by options that must all match, or by --all. Prints how many are \
            closed. If none is, or if an id belongs to no open connection, the exit status is 1.

            The client receives the code and the reason. Codes: 1000 normal, 1001 going away, 1008 policy, 1011 \
            internal error, 1012 restart, 1013 try again later, or 3000 to 4999.

            EXAMPLES
              wsctl kick h0agv7h6n 126hb7h6n
              wsctl kick --ip 203.0.113.0/24 --reason "too many connections"
              wsctl kick --all --code 1012 --reason "back in a minute"
              wsctl kick --cluster --user alice
            """ + ExitStatus.help)

    @Argument(
        help: ArgumentHelp("The connections' ids, from 'wsctl list'.", valueName: "id"),
        completion: Completion.connections)
    var ids: [String] = []

    @OptionGroup(title: "Selection") var selection: FilterOptions

    @Flag(help: "Close every connection.")
    var all = false

    @Option(help: ArgumentHelp("The close code.", valueName: "code"))
    var code = Kick.defaultCode

    @Option(help: ArgumentHelp("The reason, for a human reader; at most 123 bytes.", valueName: "text"))
    var reason = Kick.defaultReason

    @OptionGroup var nodes: ClusterOptions
    @OptionGroup var options: GlobalOptions

    func validate() throws {
        let filter = selection.filter(ids: ids, all: all)
        if !all && !filter.hasCriteria {
            throw ValidationError("Say which connections: ids, --ip, --channel, --endpoint, --user or --all.")
        }
        if all && filter.hasCriteria { throw ValidationError("--all and a selection exclude each other.") }
        do throws(ControlError) {
            _ = try CloseReason(code: code, text: reason)
        } catch {
            switch error {
            case .reasonTooLong(let count, let limit):
                throw ValidationError("The reason has \(count) bytes; a close frame has room for \(limit).")
            default:
                throw ValidationError("--code \(code): use 1000, 1001, 1008, 1011, 1012, 1013, or 3000 to 4999.")
            }
        }
    }

    func run() throws {
        let client = try DaemonClient.forActing(options)
        let missing = try missingIDs(client)
        let parameters = Kick.Parameters(
            filter: selection.filter(ids: ids, all: all), code: code, reason: reason, cluster: nodes.parameter)
        let reply = try client.call(Kick.name, parameters, returning: Kick.Reply.self)
        if options.json {
            try Output.standard.write(line: JSONLine.bytes(reply))
        } else if !options.quiet && reply.connections > 0 {
            try Output.standard.write(line: "closed \(HumanText.plural(reply.connections, "connection"))")
        }
        // On a node that did not answer, connections may still be open.
        try ClusterOptions.check(reply.silent, options)
        if reply.connections == 0 {
            let meant = (ids + [selection.text, all ? "--all" : nil].compactMap { $0 }).joined(separator: " ")
            throw Failure(options.quiet ? nil : "no connection matches \(meant)")
        }
        guard missing.isEmpty else {
            let message = missing.map {
                "no connection \($0)" + (selection.filter().hasCriteria ? " of that kind" : "")
            }
            throw Failure(options.quiet ? nil : message.joined(separator: "\n"), advice: "See 'wsctl list'.")
        }
    }

    /// The ids that belong to no open connection, or to none that is selected. The other connections are closed all the
    /// same.
    private func missingIDs(_ client: DaemonClient) throws -> [String] {
        guard !ids.isEmpty else { return [] }
        var open: Set<ConnectionID> = []
        try client.callMore(
            List.name, List.Parameters(filter: selection.filter(ids: ids), cluster: nodes.parameter),
            returning: ConnectionPage.self
        ) { page in
            for connection in page.connections where connection.state == .open { open.insert(connection.id) }
        }
        return ids.filter { id in !(ConnectionID(id).map(open.contains) ?? false) }
    }
}
