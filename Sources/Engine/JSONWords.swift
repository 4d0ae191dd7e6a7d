import Rooms
import WebSocket

/// The words of the `json` protocol that are about a channel, as its home says them (wsd-protocol(7)).
extension MessageText {
    /// Who comes and goes.
    enum Change { case join, leave }

    /// Begins the answer to a request; the caller adds members and closes the object.
    mutating func beginAck(_ id: some Sequence<UInt8>, quotedChannel: [UInt8]) {
        removeAll(keepingCapacity: true)
        append("{\"type\":\"ack\",\"id\":")
        append(raw: Array(id))
        append(",\"channel\":")
        append(raw: quotedChannel)
    }

    /// The answer to a message that has just got its place.
    mutating func writeAck(
        _ id: UnsafeRawBufferPointer, quotedChannel: [UInt8], _ position: MessagePosition, at now: Int64
    ) {
        removeAll(keepingCapacity: true)
        append("{\"type\":\"ack\",\"id\":")
        append(raw: id)
        append(",\"channel\":")
        append(raw: quotedChannel)
        append(position)
        append(memberTime: now)
        append("}")
    }

    /// A message that has just got its number.
    mutating func write(_ publication: Publication, quotedChannel: [UInt8], seq: UInt64, at now: Int64) {
        removeAll(keepingCapacity: true)
        switch publication.origin {
        case .relay, .json: append("{\"type\":\"chat\",\"channel\":")
        case .system, .systemText: append("{\"type\":\"system\",\"channel\":")
        }
        append(raw: quotedChannel)
        if !publication.from.isEmpty {
            append(",\"from\":")
            append(raw: publication.from)
        }
        append(memberTime: now)
        append(",\"seq\":")
        append(seq)
        switch publication.origin {
        case .json:
            append(",\"data\":")
            append(raw: publication.data)
        case .relay:
            append(",\"data\":")
            append(string: publication.data)
        case .system, .systemText:
            append(memberData: publication.data, isPlainText: publication.origin == .systemText)
        }
        append("}")
    }

    /// A user comes or goes.
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

    /// The members `epoch` and `seq`.
    mutating func append(_ position: MessagePosition) {
        append(",\"epoch\":\"")
        append(raw: position.epoch)
        append("\",\"seq\":")
        append(position.seq)
    }

    /// The member `time`.
    mutating func append(memberTime now: Int64) {
        append(",\"time\":")
        append(time: now)
    }

    /// An operator's words as the member `data`: as they are where they are JSON and not meant as text, as a string otherwise.
    mutating func append(memberData payload: UnsafeRawBufferPointer, isPlainText: Bool) {
        append(",\"data\":")
        if !isPlainText, RequestReader.isJSONValue(payload) {
            append(raw: payload)
        } else {
            append(string: payload)
        }
    }

    /// The member `users`.
    mutating func append(users: [(user: String, connections: Int, since: Int64)]) {
        append(",\"users\":[")
        var isFirst = true
        for entry in users {
            append(isFirst ? "{\"user\":" : ",{\"user\":")
            isFirst = false
            append(string: entry.user)
            append(",\"connections\":")
            append(UInt64(entry.connections))
            append(",\"since\":")
            append(time: entry.since)
            append("}")
        }
        append("]")
    }

    /// The messages of one page of history have so many bytes at most, or it has one message.
    private static let pageByteCount = 256 * 1024

    /// The members `messages` and `more`: the last messages below a number.
    mutating func append(history: History, before: UInt64?, limit: Int) {
        append(",\"messages\":[")
        let page = history.page(before: before, limit: limit, byteCount: Self.pageByteCount)
        if !page.isEmpty {
            history.forEach(after: page.lowerBound - 1, through: page.upperBound - 1) { object in
                append(raw: object)
                append(",")
            }
            removeLast()
        }
        append("],\"more\":")
        append(history.hasMore(before: page.lowerBound) && !page.isEmpty ? "true" : "false")
    }
}
