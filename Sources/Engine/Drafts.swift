/// Messages of `json` clients on their way to their channel's home, side by side in one buffer.
struct Drafts: Sendable {
    private struct Entry {
        var connection: ConnectionID
        var fromCount: Int
        var idCount: Int
        var dataCount: Int
    }

    /// One of them; its bytes are valid within the call that hands it out.
    struct Draft {
        var connection: ConnectionID
        /// The sender's name as JSON.
        var from: UnsafeRawBufferPointer
        /// The request's id as it came; empty without one.
        var id: UnsafeRawBufferPointer
        /// Any JSON value.
        var data: UnsafeRawBufferPointer
    }

    private var bytes: [UInt8] = []
    private var entries: [Entry] = []

    var isEmpty: Bool { entries.isEmpty }
    var byteCount: Int { bytes.count }

    mutating func append(_ draft: Draft) {
        bytes.append(contentsOf: draft.from)
        bytes.append(contentsOf: draft.id)
        bytes.append(contentsOf: draft.data)
        entries.append(
            Entry(
                connection: draft.connection, fromCount: draft.from.count, idCount: draft.id.count,
                dataCount: draft.data.count))
    }

    func forEach(_ body: (Draft) -> Void) {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            func take(_ count: Int) -> UnsafeRawBufferPointer {
                defer { rest = rest.dropFirst(count) }
                return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
            }
            for entry in entries {
                body(
                    Draft(
                        connection: entry.connection, from: take(entry.fromCount), id: take(entry.idCount),
                        data: take(entry.dataCount)))
            }
        }
    }
}
