import ArgumentParser
import Base
import Control
import Operations

/// `wsctl why ID|USER|IP`: shows how the last connections ended.
struct WhyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Show why connections were closed or refused, the most recent first.",
        discussion: """
            The daemon remembers 4096 closes and as many refusals, and of a flood the first and the last. \
            The argument is a connection's id, an address, a network or a user; without it, all events are shown. A \
            word that may be an id is taken for a user if no connection has that id; --user NAME always means a user. If \
            no event matches, the exit status is 1.

            EXAMPLES
              wsctl why alice
              wsctl why 203.0.113.7
              wsctl why h0agv7h6n
              wsctl why --limit 1000 --json | jq -r .cause | sort | uniq -c
              wsctl why --cluster alice
            """ + ExitStatus.help)

    @Argument(
        help: ArgumentHelp("A connection's id, an address or network, or a user.", valueName: "who"),
        completion: Completion.usersAndConnections)
    var who: String?

    @Option(help: "The maximum number of events, up to 1000.")
    var limit = 20

    @OptionGroup(title: "Selection") var selection: FilterOptions
    @OptionGroup var nodes: ClusterOptions
    @OptionGroup var options: GlobalOptions

    func validate() throws {
        guard (1...Why.replyLimit).contains(limit) else {
            throw ValidationError("--limit \(limit): take 1 to \(Why.replyLimit)")
        }
        guard let who else { return }
        let isAddress = IPNetwork(who) != nil
        if let ip = selection.ip, isAddress {
            throw ValidationError("'\(who)' and --ip \(ip) are both addresses; give one of them.")
        }
        if let user = selection.user, !isAddress {
            throw ValidationError("'\(who)' and --user \(user) are both users; give one of them.")
        }
    }

    func run() throws {
        let client = try DaemonClient.forLooking(options)
        var silent: [String] = []
        for filter in filters() where try show(filter, client, &silent) {
            return try ClusterOptions.check(silent, options)
        }
        let meant = [who, selection.text].compactMap { $0 }.joined(separator: " ")
        throw ClusterOptions.failure(silent, options)
            ?? Failure(
                options.quiet
                    ? nil : "no close or refusal is known" + (meant.isEmpty ? "" : " that matches \(meant)"))
    }

    /// Prints the events of a selection. False if there are none and no such connection is open.
    ///
    /// - Parameter silent: gets the nodes that did not answer.
    private func show(
        _ filter: ConnectionFilter, _ client: DaemonClient, _ silent: inout [String]
    ) throws -> Bool {
        let parameters = Why.Parameters(
            filter: filter.hasCriteria ? filter : nil, limit: limit, cluster: nodes.parameter)
        let reply = try client.call(Why.name, parameters, returning: Why.Reply.self)
        silent += reply.silent ?? []
        let events = reply.events
        for event in events {
            if options.json {
                try Output.standard.write(line: JSONLine.bytes(event))
                continue
            }
            // The newest event comes first, so the events that one stands for are printed above it.
            if let line = EventText.moreLine(event) { try Output.standard.write(line: line) }
            try Output.standard.write(line: EventText.line(event))
        }
        try tellMemory(client, events)
        guard filter.hasCriteria else { return !events.isEmpty }
        let open = try client.call(
            List.name, List.Parameters(filter: filter, limit: 1, cluster: nodes.parameter),
            returning: ConnectionPage.self)
        silent += open.silent ?? []
        if let connection = open.connections.first {
            let node = connection.node.map { " on \($0)" } ?? ""
            options.note("connected now: \(connection.id) since \(connection.connectedSince)\(node)")
            return true
        }
        return !events.isEmpty
    }

    /// If memory was the cause of an event, prints how much is used now.
    private func tellMemory(_ client: DaemonClient, _ events: [Event]) throws(Failure) {
        guard !options.json, !options.quiet, events.contains(where: { $0.cause == "memory_limit" }) else { return }
        let status = try client.call(GetStatus.name, returning: GetStatus.Reply.self).status
        guard let memory = StatusText.memory(status.memory) else { return }
        options.note("memory now: \(memory); see limits.memory in wsd.toml(5)")
    }

    /// The selections that the arguments may mean: a word that is no address may be a connection's id or a user.
    private func filters() -> [ConnectionFilter] {
        let given = selection.filter()
        guard let who else { return [given] }
        var (ofAddress, ofID, ofUser) = (given, given, given)
        guard IPNetwork(who) == nil else {
            ofAddress.ip = who
            return [ofAddress]
        }
        ofID.ids = [who]
        ofUser.user = who
        return [ofID, ofUser]
    }
}
