import Rooms
import WebSocket

/// One message for a channel, as its publisher passes it to the channel's home. Its bytes are borrowed for the duration
/// of the call; a `PublicationBatch` owns its bytes.
struct Publication {
    /// The origin of a message, which decides its form in each protocol.
    enum Origin: UInt8, Sendable {
        /// A client of the `relay` protocol: its messages are sent unchanged, and `json` clients get text as a string.
        case relay
        /// A client of the `json` protocol: `data` is a JSON value, and `relay` clients get the whole object.
        case json
        /// An operator or a backend: `data` is sent unchanged; `json` clients get it as a JSON value, or as a string if
        /// it is none.
        case system
        /// The same, but `json` clients get it as a string even if it looks like another JSON value.
        case systemText
    }

    var origin: Origin
    /// The opcode of a message that is sent unchanged; `text` for `json`.
    var opcode: Opcode
    /// The connection that published the message; nil for an operator's message.
    var sender: ConnectionReference?
    /// The sender's name; empty if no name is shown.
    var from = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The id, as JSON, of the request to acknowledge; empty if there is none.
    var id = UnsafeRawBufferPointer(start: nil, count: 0)
    var data: UnsafeRawBufferPointer

    /// The publication of a text in its place in the channel's order.
    func numbered(_ seq: UInt64, at now: Int64) -> NumberedPublication {
        let form: NumberedPublication.Form =
            switch origin {
            case .relay: .chatText
            case .json: .chatJSON
            case .system: RequestReader.isJSONValue(data) ? .systemJSON : .systemText
            case .systemText: .systemText
            }
        return NumberedPublication(form, seq: seq, time: now, from: from, payload: data)
    }
}

/// Messages for one channel on their way to its home, in order, in one buffer.
struct PublicationBatch: Sendable {
    private struct Entry {
        var origin: Publication.Origin
        var opcode: Opcode
        var sender: ConnectionReference?
        var fromCount: UInt32
        var idCount: UInt32
        var dataCount: Int
    }

    private var bytes: [UInt8] = []
    private var entries: [Entry] = []

    init() {}

    /// A batch of a single message without a sender.
    init(_ origin: Publication.Origin, _ opcode: Opcode, _ data: [UInt8]) {
        bytes = data
        entries = [
            Entry(origin: origin, opcode: opcode, sender: nil, fromCount: 0, idCount: 0, dataCount: data.count)
        ]
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    /// The size of the batch in bytes.
    var byteCount: Int { bytes.count + entries.count * MemoryLayout<Entry>.stride }

    mutating func append(_ publication: Publication) {
        bytes.append(contentsOf: publication.from)
        bytes.append(contentsOf: publication.id)
        bytes.append(contentsOf: publication.data)
        entries.append(
            Entry(
                origin: publication.origin, opcode: publication.opcode, sender: publication.sender,
                fromCount: UInt32(clamping: publication.from.count), idCount: UInt32(clamping: publication.id.count),
                dataCount: publication.data.count))
    }

    /// Passes the messages to `body`, the oldest first.
    func forEach(_ body: (Publication) -> Void) {
        bytes.withUnsafeBytes { bytes in
            var position = 0
            func take(_ count: Int) -> UnsafeRawBufferPointer {
                defer { position += count }
                return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
            }
            for entry in entries {
                body(
                    Publication(
                        origin: entry.origin, opcode: entry.opcode, sender: entry.sender,
                        from: take(Int(entry.fromCount)), id: take(Int(entry.idCount)), data: take(entry.dataCount)))
            }
        }
    }
}
