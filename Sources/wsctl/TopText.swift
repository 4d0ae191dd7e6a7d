import Control
import Terminal

/// What `wsctl top` shows: lines for a person.
struct TopText {
    var reply: Top.Reply
    /// What was shown before, for rates.
    var previous: Top.Reply?
    var order: Top.Order

    /// As many lines as there is room for.
    func lines(columns: Int, lines: Int, hasColor: Bool) -> [String] {
        let status = reply.status
        var result = header(status).map { TerminalText.truncate(TerminalText.escape($0), to: columns) }
        func title(_ text: String) {
            let text = TerminalText.truncate(text, to: columns)
            result.append("")
            result.append(hasColor ? "\u{1b}[7m\(text.padded(to: columns))\u{1b}[0m" : text)
        }
        let room = max(0, lines - result.count - 4)
        let channelCount = min(reply.channels.count, max(1, room / 3))
        title("MSG/S       MEMBERS    MESSAGES  CHANNEL")
        for channel in reply.channels.prefix(channelCount) {
            let rate = Self.rate(channel.messagesPerSecond).padded(to: 9)
            let members = HumanText.count(channel.connections).leading(to: 9)
            let messages = HumanText.count(channel.messages).leading(to: 11)
            result.append(
                TerminalText.truncate(
                    "\(rate) \(members) \(messages)  \(TerminalText.escape(channel.name))", to: columns))
        }
        title("QUEUED  DROPPED  MSG IN  MSG OUT    IN    OUT   IDLE  CONNECTION")
        for connection in reply.connections.prefix(max(0, lines - result.count)) {
            result.append(TerminalText.truncate(TerminalText.escape(row(connection)), to: columns))
        }
        return result
    }

    private func header(_ status: HubStatus) -> [String] {
        let uptime = HumanText.duration(seconds: status.uptimeSeconds)
        let state =
            status.drain.map { "draining, \($0.connectionsLeft) left" } ?? status.notReady
            ?? "\(status.state.rawValue) \(uptime)"
        let closed = { (status: HubStatus) in status.closed.values.reduce(0, +) }
        let refused = { (status: HubStatus) in status.refused.values.reduce(0, +) }
        let workers = status.connectionsPerWorker.map(HumanText.count).joined(separator: " ")
        return [
            "wsd \(status.version)  \(state)  \(status.connections) of \(status.maxConnections) connections "
                + "(by worker: \(workers))",
            "in   \(perSecond(\.messagesIn)) messages/s  \(bytesPerSecond(\.bytesIn)) bytes/s     "
                + "out  \(perSecond(\.messagesOut)) messages/s  \(bytesPerSecond(\.bytesOut)) bytes/s",
            "opened \(perSecond(\.accepted))/s  closed \(perSecond(closed))/s  refused \(perSecond(refused))/s     "
                + "\(HumanText.bytes(status.queuedBytes)) bytes wait for "
                + HumanText.plural(status.slowConsumers, "slow client"),
            "connections by \(order.rawValue)   (keys: Q D L i o I O to order them, + and - to look less or more often, q)",
        ]
    }

    private func row(_ connection: ConnectionInfo) -> String {
        let columns = [
            HumanText.bytes(connection.queuedBytes).leading(to: 6),
            HumanText.count(connection.droppedMessages).leading(to: 8),
            HumanText.count(connection.messagesIn).leading(to: 7),
            HumanText.count(connection.messagesOut).leading(to: 8),
            HumanText.bytes(connection.bytesIn).leading(to: 5), HumanText.bytes(connection.bytesOut).leading(to: 6),
            HumanText.duration(seconds: connection.idleSeconds).leading(to: 6),
        ]
        let who = connection.user.map { " \($0)" } ?? ""
        let channels = connection.channels.prefix(3).joined(separator: ",")
        return columns.joined(separator: " ")
            + "  \(connection.id) \(HumanText.address(connection.address, port: connection.port))\(who) "
            + "\(connection.endpoint) \(channels)"
    }

    private func perSecond(_ value: (HubStatus) -> Int) -> String {
        rate(value).map(Self.rate) ?? "-"
    }

    private func bytesPerSecond(_ value: (HubStatus) -> Int) -> String {
        rate(value).map { HumanText.bytes(Int($0)) } ?? "-"
    }

    private func rate(_ value: (HubStatus) -> Int) -> Double? {
        // A daemon that was started anew counts from nothing.
        guard let before = previous?.status, before.pid == reply.status.pid else { return nil }
        let seconds = reply.status.uptimeSeconds - before.uptimeSeconds
        guard seconds > 0 else { return nil }
        return Double(max(0, value(reply.status) - value(before))) / seconds
    }

    private static func rate(_ value: Double) -> String {
        guard value < 10 else { return HumanText.count(Int(value.rounded())) }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension String {
    /// With blanks behind it.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - TerminalText.width(self)))
    }
    /// With blanks before it.
    func leading(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - TerminalText.width(self))) + self
    }
}
