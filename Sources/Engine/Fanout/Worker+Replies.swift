import Base
import CLinux
import Channels
import Settings
import WebSocket

/// The messages to a `json` client from its own worker.
extension Worker {
    /// Confirms a request that has an id.
    func sendAck(
        _ connection: Connection, id: UnsafeRawBufferPointer, channel: String? = nil,
        _ append: () -> Void = {}
    ) {
        guard !id.isEmpty else { return }
        outbox.text.removeAll(keepingCapacity: true)
        outbox.text.append("{\"type\":\"ack\",\"id\":")
        outbox.text.append(raw: id)
        if let channel {
            outbox.text.append(",\"channel\":")
            outbox.text.append(string: channel)
        }
        append()
        outbox.text.append("}")
        outbox.text.withBytes { sendMessage($0, connection) }
    }

    /// Reports an error in a request. The connection stays open, unless that happens too often.
    func sendError(
        _ connection: Connection, _ code: RequestError.Code, _ message: String,
        id: [UInt8] = [], channel: String? = nil
    ) {
        guard connection.phase == .open, !connection.flags.contains(.ending) else { return }
        let quotedChannel = channel.map { MessageText(quoting: $0).bytes }
        id.withUnsafeBytes { outbox.text.writeError($0, code, message, quotedChannel: quotedChannel) }
        outbox.text.withBytes { sendMessage($0, connection) }
        guard !takeErrorToken(connection) else { return }
        let reason = "more than \(configuration.limits.errorsPerMinute) errors in a minute"
        // The end is delayed, because the caller is using the connection's channels.
        endSoon(connection, .rateLimited, .policyViolation, reason)
    }

    /// Whether `limits.errors_per_minute` allows one more error.
    private func takeErrorToken(_ connection: Connection) -> Bool {
        guard configuration.limits.errorsPerMinute > 0, let session = connection.session else { return true }
        let limit = configuration.limits.errorsPerMinute
        return session.errorBucket.take(rate: Float(limit) / 60, most: limit, now: now)
    }

    /// Sends the first message on a connection.
    func sendWelcome(
        _ connection: Connection, channel: String?, _ reply: JoinReply?
    ) {
        outbox.text.removeAll(keepingCapacity: true)
        outbox.text.append("{\"type\":\"system\",\"event\":\"welcome\",\"connection\":\"")
        outbox.text.append(raw: connection.id.description)
        outbox.text.append("\",\"user\":")
        writeName(connection)
        outbox.nameText.withBytes { outbox.text.append(string: $0) }
        outbox.text.append(memberTime: clinux_realtime_milliseconds())
        if let channel, let reply, case .joined(let epoch, let seq, let isRecovered, _) = reply.outcome {
            outbox.text.append(",\"channel\":")
            outbox.text.append(string: channel)
            appendPlace(epoch: epoch, seq: seq, isRecovered: isRecovered)
        }
        outbox.text.append("}")
        outbox.text.withBytes { sendMessage($0, connection) }
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
        outbox.text.append(MessagePosition(epoch: epoch, seq: seq))
        outbox.text.append(",\"recovered\":")
        outbox.text.append(isRecovered ? "true" : "false")
    }

    /// Sends the messages after the last one that the client has seen, up to the one whose number it was told.
    private func sendMissed(_ connection: Connection, _ reply: JoinReply) {
        guard case .joined(_, _, _, let missed?) = reply.outcome else { return }
        connection.messagesOut &+= UInt64(missed.messageCount)
        telemetry.statistics.messagesOut &+= UInt64(missed.messageCount)
        outbox.turn.push(missed: missed, to: connection)
    }

    /// Asks a client whose token has expired for a newer one.
    func sendRefresh(_ connection: Connection) {
        outbox.text.removeAll(keepingCapacity: true)
        outbox.text.append("{\"type\":\"refresh\"")
        outbox.text.append(memberTime: clinux_realtime_milliseconds())
        outbox.text.append(",\"grace\":")
        outbox.text.append(UInt64(configuration.auth.refreshGrace.components.seconds))
        outbox.text.append("}")
        outbox.text.withBytes { sendMessage($0, connection) }
    }

    /// Tells a client that it is no longer in a channel.
    func sendLeft(_ connection: Connection, channel: String, reason: String) {
        outbox.text.removeAll(keepingCapacity: true)
        outbox.text.append("{\"type\":\"system\",\"event\":\"left\",\"channel\":")
        outbox.text.append(string: channel)
        outbox.text.append(",\"reason\":")
        outbox.text.append(string: reason)
        outbox.text.append("}")
        outbox.text.withBytes { sendMessage($0, connection) }
    }
}
