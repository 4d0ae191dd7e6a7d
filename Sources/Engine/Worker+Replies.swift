import CLinux
import Rooms
import WebSocket

/// The messages to a `json` client from its own worker.
extension Worker {
    /// Confirms a request that has an id.
    func sendAck(
        _ connection: Connection, id: UnsafeRawBufferPointer, channel: String? = nil,
        _ append: () -> Void = {}
    ) {
        guard !id.isEmpty else { return }
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"ack\",\"id\":")
        text.append(raw: id)
        if let channel {
            text.append(",\"channel\":")
            text.append(string: channel)
        }
        append()
        text.append("}")
        text.withBytes { sendMessage($0, connection) }
    }

    /// Reports an error in a request. The connection stays open, unless that happens too often.
    func sendError(
        _ connection: Connection, _ code: RequestError.Code, _ message: String,
        id: [UInt8] = [], channel: String? = nil
    ) {
        guard connection.phase == .open, !connection.flags.contains(.ending) else { return }
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"error\"")
        if !id.isEmpty {
            text.append(",\"id\":")
            id.withUnsafeBytes { text.append(raw: $0) }
        }
        text.append(",\"code\":\"")
        text.append(raw: code.rawValue)
        text.append("\",\"message\":")
        text.append(string: message)
        if let channel {
            text.append(",\"channel\":")
            text.append(string: channel)
        }
        text.append("}")
        text.withBytes { sendMessage($0, connection) }
        guard !takeErrorToken(connection) else { return }
        let reason = "more than \(configuration.errorsPerMinute) errors in a minute"
        // The end is delayed, because the caller is using the connection's channels.
        endSoon(connection, .rateLimited, .policyViolation, reason)
    }

    /// Whether `limits.errors_per_minute` allows one more error: a token bucket, as for messages.
    private func takeErrorToken(_ connection: Connection) -> Bool {
        guard configuration.errorsPerMinute > 0, let session = connection.session else { return true }
        let limit = Float(configuration.errorsPerMinute)
        let minutes = Float(now &- session.errorTokensAt) * Float(Worker.tickNanoseconds) / 60e9
        session.errorTokensAt = now
        session.errorTokens = min(limit, session.errorTokens + minutes * limit)
        guard session.errorTokens >= 1 else { return false }
        session.errorTokens -= 1
        return true
    }

    /// Sends the first message on a connection.
    func sendWelcome(
        _ connection: Connection, channel: String?, _ reply: JoinReply?
    ) {
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"system\",\"event\":\"welcome\",\"connection\":\"")
        text.append(raw: connection.id.description)
        text.append("\",\"user\":")
        writeName(connection)
        text.append(raw: nameText.bytes)
        text.append(memberTime: clinux_realtime_milliseconds())
        if let channel, let reply, case .joined(let epoch, let seq, let isRecovered, _) = reply.outcome {
            text.append(",\"channel\":")
            text.append(string: channel)
            appendPlace(epoch: epoch, seq: seq, isRecovered: isRecovered)
        }
        text.append("}")
        text.withBytes { sendMessage($0, connection) }
        if let reply { sendMissed(connection, reply) }
    }

    /// Confirms that a connection is in a channel, and sends the messages that it missed. Its live stream follows.
    func sendJoinAck(
        _ connection: Connection, _ reply: JoinReply, _ channel: Channel
    ) {
        guard case .joined(let epoch, let seq, let isRecovered, _) = reply.outcome else { return }
        reply.request.id.withUnsafeBytes { id in
            sendAck(connection, id: id, channel: channel.name) {
                appendPlace(epoch: epoch, seq: seq, isRecovered: isRecovered)
            }
        }
        sendMissed(connection, reply)
    }

    private func appendPlace(epoch: String, seq: UInt64, isRecovered: Bool) {
        text.append(MessagePosition(epoch: epoch, seq: seq))
        text.append(",\"recovered\":")
        text.append(isRecovered ? "true" : "false")
    }

    /// Sends the messages after the last one that the client has seen, up to the one whose number it was told.
    private func sendMissed(_ connection: Connection, _ reply: JoinReply) {
        guard case .joined(_, _, _, let missed?) = reply.outcome else { return }
        connection.messagesOut &+= UInt64(missed.messageCount)
        statistics.messagesOut &+= UInt64(missed.messageCount)
        turn.push(missed: missed, to: connection)
    }

    /// Asks a client whose token has expired for a newer one.
    func sendRefresh(_ connection: Connection) {
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"refresh\"")
        text.append(memberTime: clinux_realtime_milliseconds())
        text.append(",\"grace\":")
        text.append(UInt64(configuration.refreshGrace.components.seconds))
        text.append("}")
        text.withBytes { sendMessage($0, connection) }
    }

    /// Tells a client that it is no longer in a channel.
    func sendLeft(_ connection: Connection, channel: String, reason: String) {
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"system\",\"event\":\"left\",\"channel\":")
        text.append(string: channel)
        text.append(",\"reason\":")
        text.append(string: reason)
        text.append("}")
        text.withBytes { sendMessage($0, connection) }
    }
}
