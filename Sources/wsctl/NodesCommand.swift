import ArgumentParser
import Base
import Control
import Terminal

/// `wsctl nodes`: shows the nodes that share the broker.
struct NodesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes",
        abstract: "Show the nodes that share the broker, with figures of each.",
        discussion: """
            The asterisk marks the node that is asked. IN/S and OUT/S are messages per second and LOAD is the number of \
            processors in use, over half a second; LAG is the time that a question and its answer take through the \
            broker. If a node does not answer, the exit status is 1.

            EXAMPLES
              wsctl nodes
              wsctl nodes --json | jq -s 'map(.connections) | add'
            """ + ExitStatus.help)

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let reply = try DaemonClient.forLooking(options).call(Nodes.name, returning: Nodes.Reply.self)
        if options.json {
            for node in reply.nodes { try Output.standard.write(line: JSONLine.bytes(node)) }
        } else {
            var table = Table(columns: NodeText.columns, for: .standard, hasLegend: !options.noLegend)
            try table.write(reply.nodes.map(NodeText.row), to: .standard)
        }
        try ClusterOptions.check(reply.silent, options, advice: nil)
    }
}

/// A node as a row for a person.
enum NodeText {
    static let columns: [(title: String, alignment: Table.Alignment)] = [
        ("", .left), ("NODE", .left), ("ID", .left), ("ADDRESS", .left), ("VERSION", .left), ("STATE", .left),
        ("CONNECTIONS", .right), ("IN/S", .right), ("OUT/S", .right), ("LOAD", .right), ("LAG", .right),
        ("SINCE", .left),
    ]

    static func row(_ node: NodeRow) -> [String] {
        let what: [String] = [node.isThis ? "*" : "", node.name, node.id, addresses(node), node.version, state(node)]
        let figures: [String?] = [
            node.connections.map { "\($0)" }, node.messagesInPerSecond.map(rate), node.messagesOutPerSecond.map(rate),
            node.load.map { fixed($0, digits: 2) }, node.lagSeconds.map { fixed($0 * 1000, digits: 1) + "ms" },
        ]
        let row = what + figures.map { $0 ?? "-" } + [node.since.description]
        return row.map { TerminalText.escape($0) }
    }

    private static func addresses(_ node: NodeRow) -> String {
        node.addresses.isEmpty ? "-" : node.addresses.joined(separator: ",")
    }

    private static func state(_ node: NodeRow) -> String {
        guard let state = node.state else { return "silent" }
        return state == .running && node.notReady != nil ? "not ready" : state.rawValue
    }

    private static func rate(_ rate: Double) -> String {
        HumanText.count(Int(max(0, min(rate, 1e15)).rounded()))
    }

    /// A number that is not negative with some digits after its point.
    private static func fixed(_ value: Double, digits: Int) -> String {
        let factor = digits == 1 ? 10 : 100
        let scaled = Int((max(0, min(value, 1e12)) * Double(factor)).rounded())
        let fraction = "\(scaled % factor)"
        return "\(scaled / factor)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
