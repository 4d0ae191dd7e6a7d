import Channels
import WebSocket

/// Text messages to single connections of another worker, which are sent there together.
final class ReplyBatch {
    private var builder: SegmentBuilder
    private var connections: [ConnectionReference] = []
    /// The connections whose last answers are among these.
    private var done: [ConnectionReference] = []

    init(_ meter: ByteMeter) { builder = SegmentBuilder(meter) }

    var isEmpty: Bool { connections.isEmpty && done.isEmpty }

    func append(_ payload: UnsafeRawBufferPointer, to connection: ConnectionReference) {
        builder.append(.text, payload: payload)
        connections.append(connection)
    }

    /// Notes that a connection has no more answers to come.
    func finish(_ connection: ConnectionReference) { done.append(connection) }

    /// Takes the collected answers as a message: frame i is for connection i.
    func take() -> WorkerMessage {
        defer {
            connections = []
            done = []
        }
        return .connections(.replies(builder.isEmpty ? nil : builder.finish(isForMany: true), connections, done: done))
    }
}
