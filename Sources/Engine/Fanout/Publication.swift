import Channels
import Settings
import WebSocket

/// One message for a channel, as its publisher passes it to the channel's home. Its bytes are borrowed for the duration
/// of the call; a `PublicationBatch` owns its bytes.
struct Publication {
    var form: NumberedPublication.Form
    /// The opcode of a message that is sent unchanged.
    var opcode: Opcode
    /// The protocol of the client that published the message; nil for an operator's or a backend's message.
    var senderProtocol: ClientProtocol?
    /// The connection that published the message; nil for an operator's message.
    var sender: ConnectionReference?
    /// The sender's name; empty if no name is shown.
    var from = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The id, as JSON, of the request to acknowledge; empty if there is none.
    var id = UnsafeRawBufferPointer(start: nil, count: 0)
    var data: UnsafeRawBufferPointer

    /// The publication in its place in the channel's order.
    func numbered(_ seq: UInt64, at now: Int64) -> NumberedPublication {
        NumberedPublication(form, seq: seq, time: now, from: from, payload: data)
    }
}

/// Messages for one channel on their way to its home, in order, in one buffer.
struct PublicationBatch: Sendable {
    private struct Entry {
        var form: NumberedPublication.Form
        var opcode: Opcode
        var senderProtocol: ClientProtocol?
        var sender: ConnectionReference?
        var fromCount: UInt32
        var idCount: UInt32
        var dataCount: Int
    }

    private var bytes: [UInt8] = []
    private var entries: [Entry] = []

    init() {}

    /// A batch of a single message without a sender.
    init(_ form: NumberedPublication.Form, _ opcode: Opcode, _ data: [UInt8]) {
        bytes = data
        entries = [
            Entry(
                form: form, opcode: opcode, sender: nil, fromCount: 0, idCount: 0, dataCount: data.count)
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
                form: publication.form, opcode: publication.opcode, senderProtocol: publication.senderProtocol,
                sender: publication.sender,
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
                        form: entry.form, opcode: entry.opcode, senderProtocol: entry.senderProtocol,
                        sender: entry.sender,
                        from: take(Int(entry.fromCount)), id: take(Int(entry.idCount)), data: take(entry.dataCount)))
            }
        }
    }
}
