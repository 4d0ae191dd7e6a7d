import WebSocket

/// One message for a channel, as whoever publishes it gives it to the channel's home. Its bytes are lent for the call that
/// hands it over; a `PublicationBatch` owns those of its own.
struct Publication {
    /// Where a message comes from; it decides how each protocol says it.
    enum Origin: UInt8, Sendable {
        /// A client of the `relay` protocol: its messages go out as they came, and text is a string to `json` clients.
        case relay
        /// A client of the `json` protocol: `data` is a JSON value, and all others get the whole object.
        case json
        /// An operator or a backend: `data` goes out as it came; to `json` clients as the value that it is, or as a string where
        /// it is none.
        case system
        /// The same, where it is a string to `json` clients even if it looks like another value.
        case systemText
    }

    var origin: Origin
    /// The opcode of what goes out as it came; `text` for `json`.
    var opcode: Opcode
    /// The connection that published it; nil for an operator's.
    var sender: ConnectionID?
    /// The sender's name as JSON; empty where it has none to be shown.
    var from = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The id, as JSON, of the request that an ack answers; empty where nothing does.
    var id = UnsafeRawBufferPointer(start: nil, count: 0)
    var data: UnsafeRawBufferPointer
}

/// Messages for one channel on their way to its home, in their order, side by side in one buffer.
struct PublicationBatch: Sendable {
    private struct Entry {
        var origin: Publication.Origin
        var opcode: Opcode
        var sender: ConnectionID?
        var fromCount: UInt32
        var idCount: UInt32
        var dataCount: Int
    }

    private var bytes: [UInt8] = []
    private var entries: [Entry] = []

    init() {}

    /// A single message of nobody's.
    init(_ origin: Publication.Origin, _ opcode: Opcode, _ data: [UInt8]) {
        bytes = data
        entries = [
            Entry(origin: origin, opcode: opcode, sender: nil, fromCount: 0, idCount: 0, dataCount: data.count)
        ]
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }
    /// What it holds, in bytes.
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

    /// Visits the messages, oldest first.
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
