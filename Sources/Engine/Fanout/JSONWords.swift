import Base
import Channels
import WebSocket

/// The messages of the `json` protocol about a channel, as its home writes them (wsd-protocol(7)).
extension MessageText {
    /// A change of the users in a channel.
    enum Change { case join, leave }

    /// Begins the answer to a request; the caller adds members and closes the object.
    mutating func beginAck(_ id: UnsafeRawBufferPointer, quotedChannel: [UInt8]) {
        removeAll(keepingCapacity: true)
        append("{\"type\":\"ack\",\"id\":")
        append(raw: id)
        append(",\"channel\":")
        append(raw: quotedChannel)
    }

    /// Writes the answer to a message that has just got its position.
    mutating func writeAck(
        _ id: UnsafeRawBufferPointer, quotedChannel: [UInt8], _ position: MessagePosition, at now: Int64
    ) {
        beginAck(id, quotedChannel: quotedChannel)
        append(position)
        append(memberTime: now)
        append("}")
    }

    /// Writes a message.
    mutating func write(_ publication: NumberedPublication, quotedChannel: [UInt8]) {
        removeAll(keepingCapacity: true)
        append(publication, quotedChannel: quotedChannel)
    }

    private mutating func append(_ publication: NumberedPublication, quotedChannel: [UInt8]) {
        switch publication.form {
        case .chatText, .chatJSON: append("{\"type\":\"chat\",\"channel\":")
        case .systemText, .systemJSON: append("{\"type\":\"system\",\"channel\":")
        }
        append(raw: quotedChannel)
        if !publication.from.isEmpty {
            append(",\"from\":")
            append(string: publication.from)
        }
        append(memberTime: publication.time)
        append(",\"seq\":")
        append(publication.seq)
        append(",\"data\":")
        switch publication.form {
        case .chatJSON, .systemJSON: append(raw: publication.payload)
        case .chatText, .systemText: append(string: publication.payload)
        }
        append("}")
    }

    /// Writes that a user comes or goes.
    mutating func write(_ change: Change, of user: String, quotedChannel: [UInt8], at now: Int64) {
        removeAll(keepingCapacity: true)
        switch change {
        case .join: append("{\"type\":\"join\",\"channel\":")
        case .leave: append("{\"type\":\"leave\",\"channel\":")
        }
        append(raw: quotedChannel)
        append(",\"from\":")
        append(string: user)
        append(memberTime: now)
        append("}")
    }

    /// Writes that messages up to a position may be missing, and that the numbering goes on from there.
    mutating func writeGap(quotedChannel: [UInt8], _ position: MessagePosition, at now: Int64) {
        removeAll(keepingCapacity: true)
        append("{\"type\":\"system\",\"event\":\"gap\",\"channel\":")
        append(raw: quotedChannel)
        append(position)
        append(memberTime: now)
        append("}")
    }

    /// Writes that a request could not be fulfilled; without an id if it had none, and without a channel if it is about
    /// none.
    mutating func writeError(
        _ id: UnsafeRawBufferPointer, _ code: RequestError.Code, _ message: String, quotedChannel: [UInt8]?
    ) {
        removeAll(keepingCapacity: true)
        append("{\"type\":\"error\"")
        if !id.isEmpty {
            append(",\"id\":")
            append(raw: id)
        }
        append(",\"code\":\"")
        append(raw: code.rawValue)
        append("\",\"message\":")
        append(string: message)
        if let quotedChannel {
            append(",\"channel\":")
            append(raw: quotedChannel)
        }
        append("}")
    }

    /// Appends the members `epoch` and `seq`.
    mutating func append(_ position: MessagePosition) {
        append(",\"epoch\":\"")
        append(raw: position.epoch)
        append("\",\"seq\":")
        append(position.seq)
    }

    /// Appends the member `time`.
    mutating func append(memberTime now: Int64) {
        append(",\"time\":")
        append(time: now)
    }

    /// Appends an operator's message as the member `data`: unchanged if it is JSON and not declared as text, as a
    /// string otherwise.
    mutating func append(memberData payload: UnsafeRawBufferPointer, isPlainText: Bool) {
        append(",\"data\":")
        if !isPlainText, RequestReader.isJSONValue(payload) {
            append(raw: payload)
        } else {
            append(string: payload)
        }
    }

    /// Appends the member `users`.
    mutating func append(users: [(user: String, connections: Int, since: Int64)]) {
        append(",\"users\":[")
        var isFirst = true
        for entry in users {
            append(isFirst ? "{\"user\":" : ",{\"user\":")
            isFirst = false
            append(string: entry.user)
            append(",\"connections\":")
            append(UInt64(clamping: entry.connections))
            append(",\"since\":")
            append(time: entry.since)
            append("}")
        }
        append("]")
    }

    /// The maximum size of a page of history in bytes, unless it has a single message.
    private static let pageByteCount = 256 * 1024

    /// Appends the members `messages` and `more`: the last messages below a number.
    mutating func append(history: History, quotedChannel: [UInt8], before: UInt64?, limit: Int) {
        append(",\"messages\":[")
        var single = MessageText()
        let page = history.page(before: before, limit: limit, byteCount: Self.pageByteCount) { publication in
            single.write(publication, quotedChannel: quotedChannel)
            return single.bytes.count
        }
        if !page.isEmpty {
            history.forEach(after: page.lowerBound - 1, through: page.upperBound - 1) { publication in
                append(publication, quotedChannel: quotedChannel)
                append(",")
            }
            removeLast()
        }
        append("],\"more\":")
        append(history.hasMore(before: page.lowerBound) && !page.isEmpty ? "true" : "false")
    }
}
