import Rooms
import WebSocket

/// Text messages to single connections of another worker, on their way there together.
final class Answers {
    private var builder: SegmentBuilder
    private var connections: [ConnectionID] = []
    /// Connections that have all their answers with these.
    private var done: [ConnectionID] = []

    init(_ meter: ByteMeter) { builder = SegmentBuilder(meter) }

    var isEmpty: Bool { connections.isEmpty && done.isEmpty }

    func append(_ payload: UnsafeRawBufferPointer, to connection: ConnectionID) {
        builder.append(.text, payload: payload)
        connections.append(connection)
    }

    /// A connection has no more answers to come.
    func finish(_ connection: ConnectionID) { done.append(connection) }

    /// Hands over what was collected: frame i is for connection i.
    func take() -> Letter {
        defer {
            connections = []
            done = []
        }
        return .answers(builder.isEmpty ? nil : builder.finish(isForMany: true), connections, done: done)
    }
}
