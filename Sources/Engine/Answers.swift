import WebSocket

/// Text messages to single connections of another worker, on their way there together.
final class Answers {
    private var builder = SegmentBuilder()
    private var connections: [ConnectionID] = []

    var isEmpty: Bool { connections.isEmpty }

    func append(_ payload: UnsafeRawBufferPointer, to connection: ConnectionID) {
        builder.append(.text, payload: payload)
        connections.append(connection)
    }

    /// Hands over what was collected: frame i is for connection i.
    func take() -> (Segment, [ConnectionID]) {
        defer { connections = [] }
        return (builder.finish(), connections)
    }
}
