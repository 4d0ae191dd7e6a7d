import Control
import Operations
import Terminal

/// The display of `wsctl top` as lines for a person.
struct TopText {
    var reply: Top.Reply
    /// The previous reply, from which rates are computed.
    var previous: Top.Reply?
    var order: ConnectionOrder

    /// The lines that fit.
    ///
    /// - Parameter hasKeys: whether the keys are explained in full; nil if there are no keys.
    func lines(columns: Int, lines: Int, hasColor: Bool, hasKeys: Bool? = nil) -> [String] {
        var result = header(reply.status, columns: columns)
        switch hasKeys {
        case nil: result.append("connections by \(order.rawValue)")
        case false?: result.append(keyLine(columns: columns))
        case true?: result += ["connections by \(order.rawValue)"] + TopView.lines
        }
        result = result.map { TerminalText.truncate(TerminalText.escape($0), to: columns) }
        func addTitle(_ text: String) {
            let text = TerminalText.truncate(text, to: columns)
            result.append("")
            result.append(hasColor ? "\u{1b}[7m\(text.padded(to: columns))\u{1b}[0m" : text)
        }
        let room = max(0, lines - result.count - 4)
        let channelCount = min(reply.channels.count, max(1, room / 3))
        addTitle("MSG/S       MEMBERS    MESSAGES  CHANNEL")
        for channel in reply.channels.prefix(channelCount) {
            let rate = Self.rate(channel.messagesPerSecond).padded(to: 9)
            let members = HumanText.count(channel.connections).leading(to: 9)
            let messages = HumanText.count(channel.messages).leading(to: 11)
            result.append(
                TerminalText.truncate(
                    "\(rate) \(members) \(messages)  \(TerminalText.escape(channel.name))", to: columns))
        }
        addTitle("QUEUED  DROPPED  MSG IN  MSG OUT    IN    OUT   IDLE  CONNECTION")
        for connection in reply.connections.prefix(max(0, lines - result.count)) {
            result.append(TerminalText.truncate(TerminalText.escape(row(connection)), to: columns))
        }
        return result
    }

    /// The order, followed by as many keys as fit.
    private func keyLine(columns: Int) -> String {
        let title = (columns < 100 ? "by " : "connections by ") + order.rawValue
        return "\(title)   \(TopView.shortLine(columns: columns - title.count - 3))"
    }

    /// The state of the hub, in as few lines as fit.
    private func header(_ status: HubStatus, columns: Int) -> [String] {
        let uptime = HumanText.duration(seconds: status.uptimeSeconds)
        let state =
            status.drain.map { "draining, \($0.connectionsLeft) left" } ?? status.notReady
            ?? "\(status.state.rawValue) \(uptime)"
        let closed = { (status: HubStatus) in status.closed.values.reduce(0, +) }
        let refused = { (status: HubStatus) in status.refused.values.reduce(0, +) }
        let workers = status.connectionsPerWorker.map(HumanText.count).joined(separator: " ")
        let hub = "wsd \(status.version)  \(state)  \(status.connections) of \(status.maxConnections) connections"
        let withWorkers = "\(hub) (by worker: \(workers))"
        let parts = [
            (
                "in   \(perSecond(\.messagesIn)) messages/s  \(bytesPerSecond(\.bytesIn)) bytes/s",
                "out  \(perSecond(\.messagesOut)) messages/s  \(bytesPerSecond(\.bytesOut)) bytes/s"
            ),
            (
                "opened \(perSecond(\.accepted))/s  closed \(perSecond(closed))/s  refused \(perSecond(refused))/s",
                "\(HumanText.bytes(status.queuedBytes)) bytes wait for "
                    + HumanText.plural(status.slowConsumers, "slow client")
            ),
        ]
        return [TerminalText.width(withWorkers) <= columns ? withWorkers : hub]
            + parts.flatMap { left, right in
                let line = "\(left)     \(right)"
                return TerminalText.width(line) <= columns ? [line] : [left, right]
            }
    }

    private func row(_ connection: ConnectionRow) -> String {
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
        // The counters of a daemon that was restarted begin at zero.
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
    /// The text with trailing blanks.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - TerminalText.width(self)))
    }
    /// The text with leading blanks.
    func leading(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - TerminalText.width(self))) + self
    }
}
