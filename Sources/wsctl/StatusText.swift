import Base
import Control
import Operations
import Terminal

/// The status of the hub or of a connection, as lines of names and values for a person.
enum StatusText {
    /// The lines of `wsctl status`.
    static func lines(_ status: HubStatus) -> [String] {
        let slow = HumanText.plural(status.slowConsumers, "slow consumer")
        var fields: [(String, String)] = [
            ("state", "\(status.state.rawValue), for \(HumanText.duration(seconds: status.uptimeSeconds))"),
            ("version", "\(status.version), process \(status.pid)"),
            (
                "connections",
                "\(status.connections) of at most \(status.maxConnections)"
                    + (status.connectionsPerWorker.count > 1
                        ? " (by worker: \(status.connectionsPerWorker.map(String.init).joined(separator: ", ")))" : "")
            ),
        ]
        if let reason = status.notReady, status.drain == nil { fields.insert(("not ready", reason), at: 1) }
        if let drain = status.drain {
            let done = drain.connectionsAtStart - drain.connectionsLeft
            let left = HumanText.duration(seconds: drain.secondsLeft)
            fields.append(("draining", "\(done) of \(drain.connectionsAtStart) closed, \(left) left at most"))
        }
        fields += [
            ("accepted", "\(status.accepted)"),
            ("refused", reasons(status.refused)),
            ("closed", reasons(status.closed)),
            ("in", traffic(status.messagesIn, status.bytesIn)),
            ("out", traffic(status.messagesOut, status.bytesOut)),
            ("queued", "\(HumanText.bytes(status.queuedBytes)) bytes for \(slow)"),
            ("listening on", list(status.listeners)),
            (
                "configuration",
                status.configurationFiles.isEmpty ? "built-in defaults" : list(status.configurationFiles)
            ),
        ]
        if let memory = memory(status.memory), let place = fields.firstIndex(where: { $0.0 == "queued" }) {
            fields.insert(("memory", memory), at: place + 1)
        }
        if let restart = status.lastRestart { fields.append(("last restart", Self.restart(restart))) }
        if let recovered = status.recovered { fields.append(("recovered", Self.recovery(recovered))) }
        for consumer in status.consumers ?? [] { fields.append(("consumes", text(consumer))) }
        for certificate in status.certificates ?? [] {
            let names = certificate.names.isEmpty ? "no name" : list(certificate.names)
            fields.append(("certificate", "\(names) (\(certificate.keyKind)), until \(certificate.expiresAt)"))
        }
        if let keys = status.pendingRestart, !keys.isEmpty { fields.append(("after a restart", list(keys))) }
        if let keys = status.unusedKeys, !keys.isEmpty { fields.append(("not used", list(keys))) }
        for notice in status.notices ?? [] { fields.append(("notice", notice)) }
        // The time after "running, for" counts from the daemon's start, and a drain began later.
        if status.drain != nil { fields[0].1 = "draining" }
        return aligned(fields)
    }

    /// The lines of `wsctl show`.
    static func lines(_ connection: ConnectionRow, now: Timestamp) -> [String] {
        let age = HumanText.duration(from: connection.connectedSince, to: now)
        var queued = "\(HumanText.bytes(connection.queuedBytes)) bytes"
        if let messages = connection.queuedMessages { queued += " in \(HumanText.plural(messages, "message"))" }
        let node = connection.node.map { [("node", $0)] } ?? []
        var tls = connection.tls.map { [("tls", $0)] } ?? []
        if let subject = connection.certificateSubject {
            let names = connection.certificateNames ?? []
            tls.append(("certificate", names.isEmpty ? subject : "\(subject) (\(list(names)))"))
        }
        let rest = [
            ("state", connection.state.rawValue),
            ("address", HumanText.address(connection.address, port: connection.port)),
            ("endpoint", "\(connection.endpoint) (\(connection.protocol))"),
            ("channels", list(connection.channels)),
            ("compression", connection.compression ? "permessage-deflate" : "-"),
            ("user", connection.user ?? "-"),
            ("user agent", connection.userAgent ?? "-"),
            ("connected", "\(connection.connectedSince) (\(age) ago)"),
            ("idle", HumanText.duration(seconds: connection.idleSeconds)),
            ("in", traffic(connection.messagesIn, connection.bytesIn)),
            ("out", traffic(connection.messagesOut, connection.bytesOut)),
            ("queued", queued),
            ("dropped", HumanText.plural(connection.droppedMessages, "message")),
        ]
        return aligned([("id", connection.id.description)] + node + rest + tls)
    }

    /// The memory held for clients by kind, the largest first; nil if the daemon doesn't count it.
    static func memory(_ memory: MemoryStatus) -> String? {
        guard memory.limit > 0 || memory.used > 0 else { return nil }
        let kinds = [
            ("input", memory.input), ("between workers", memory.mailboxes),
            ("backlogs", memory.backlogs), ("history", memory.history),
        ]
        let parts = kinds.filter { $0.1 > 0 }.sorted { $0.1 > $1.1 }.map { "\($0.0) \(HumanText.bytes($0.1))" }
        return "\(HumanText.bytes(memory.used)) bytes for clients"
            + (memory.limit > 0 ? ", of at most \(HumanText.bytes(memory.limit))" : "")
            + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))")
    }

    /// What has become of the connections at a restart.
    static func restart(_ restart: RestartReport) -> String {
        if let problem = restart.problem {
            let closed = HumanText.plural(restart.closed, "connection")
            return "\(closed) closed, for nothing could be taken over: \(problem)"
        }
        var text = "\(HumanText.plural(restart.adopted, "connection")) kept, \(restart.closed) closed"
        if let seconds = restart.silentSeconds { text += ", \(milliseconds(seconds)) ms of silence" }
        let phases = ["settle", "write", "start", "adopt"].compactMap { name in
            restart.phases[name].map { "\(name) \(milliseconds($0))" }
        }
        return text + (phases.isEmpty ? "" : " (\(phases.joined(separator: ", ")))")
    }

    /// What has become of the histories of a process that was killed.
    static func recovery(_ recovered: RecoveryReport) -> String {
        if let problem = recovered.problem { return "nothing after a crash: \(problem)" }
        let channels = HumanText.plural(recovered.channels, "channel")
        let messages = HumanText.plural(recovered.messages, "message")
        return "\(channels) with \(messages) after a crash" + (recovered.takenAt.map { "; snapshot of \($0)" } ?? "")
    }

    private static func milliseconds(_ seconds: Double) -> Int { Int((min(max(seconds, 0), 1e9) * 1_000).rounded()) }

    private static func text(_ consumer: ConsumerStatus) -> String {
        var text = "\(consumer.source) \(consumer.stream) (group \(consumer.group)): "
        switch consumer.state {
        case .reading: text += "reading"
        case .standby: text += "\(consumer.reader ?? "another node") reads it"
        case .down: text += "can't be read"
        }
        text += ", \(HumanText.plural(consumer.published, "record")) published, \(consumer.rejected) rejected"
        if let lag = consumer.lag { text += ", \(lag) behind" }
        return text + (consumer.problem.map { "; \($0)" } ?? "")
    }

    private static func traffic(_ messages: Int, _ bytes: Int) -> String {
        "\(HumanText.plural(messages, "message")), \(HumanText.bytes(bytes)) bytes"
    }

    private static func list(_ values: [String]) -> String {
        values.isEmpty ? "-" : values.joined(separator: ", ")
    }

    /// The total, followed by the counts of the reasons, the most frequent first.
    private static func reasons(_ counts: [String: Int]) -> String {
        let parts = counts.filter { $0.value > 0 }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\($0.key) \($0.value)" }
        let total = "\(counts.values.reduce(0, +))"
        return parts.isEmpty ? total : "\(total) (\(parts.joined(separator: ", ")))"
    }

    private static func aligned(_ fields: [(name: String, value: String)]) -> [String] {
        let width = fields.map(\.name.count).max() ?? 0
        return fields.map { field in
            let padding = String(repeating: " ", count: width - field.name.count)
            return "\(padding)\(field.name): \(TerminalText.escape(field.value))"
        }
    }
}
