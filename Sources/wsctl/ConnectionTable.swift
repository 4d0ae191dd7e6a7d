import Base
import Control
import Operations
import Terminal

/// The list of connections for a person.
struct ConnectionTable {
    private var table: Table
    private let now: Timestamp
    private let output: Output
    private let hasNodes: Bool

    /// A list that is written to `output`.
    ///
    /// - Parameters:
    ///   - output: the destination.
    ///   - hasLegend: whether the list has a header.
    ///   - now: the time from which ages are computed.
    ///   - hasNodes: whether the list shows the node of each connection.
    init(output: Output, hasLegend: Bool, now: Timestamp, hasNodes: Bool = false) {
        self.hasNodes = hasNodes
        self.output = output
        self.now = now
        table = Table(
            columns: [("ID", .left)] + (hasNodes ? [("NODE", .left)] : []) + [
                ("ADDRESS", .left), ("USER", .left), ("ENDPOINT", .left), ("CHANNELS", .left),
                ("AGE", .right), ("IDLE", .right), ("IN", .right), ("OUT", .right), ("QUEUED", .right),
                ("USER AGENT", .left),
            ],
            terminalWidth: output.terminalWidth, hasLegend: hasLegend, hasColor: output.hasColor)
    }

    /// Writes more rows.
    mutating func write(_ connections: [ConnectionRow]) throws {
        try table.write(connections.map(row), to: output)
    }

    private func row(_ connection: ConnectionRow) -> [String] {
        let endpoint = connection.state == .closing ? connection.endpoint + " (closing)" : connection.endpoint
        let values =
            [
                connection.id.description
            ] + (hasNodes ? [connection.node ?? "-"] : []) + [
                HumanText.address(connection.address, port: connection.port),
                connection.user.map { TerminalText.truncate($0, to: 32) } ?? "-",
                endpoint,
                channels(connection.channels),
                HumanText.duration(from: connection.connectedSince, to: now),
                HumanText.duration(seconds: connection.idleSeconds),
                "\(HumanText.count(connection.messagesIn))/\(HumanText.bytes(connection.bytesIn))",
                "\(HumanText.count(connection.messagesOut))/\(HumanText.bytes(connection.bytesOut))",
                HumanText.bytes(connection.queuedBytes),
                connection.userAgent ?? "-",
            ]
        return values.map { TerminalText.escape($0) }
    }

    /// The first channels and the number of further ones: a connection with a hundred channels must not fill a page.
    private func channels(_ channels: [String]) -> String {
        guard !channels.isEmpty else { return "-" }
        let shown = channels.prefix(2).map { TerminalText.truncate($0, to: 32) }.joined(separator: ",")
        return channels.count > 2 ? "\(shown),+\(channels.count - 2)" : shown
    }
}
