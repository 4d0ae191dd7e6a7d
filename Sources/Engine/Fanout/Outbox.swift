import Base
import Broker
import CLinux
import Channels
import Settings
import WebSocket

/// The output of a worker: what the present turn of its loop has for its connections, and what it has for other
/// workers.
final class Outbox {
    var turn = Turn()
    /// This turn's answers to single connections.
    var direct: SegmentBuilder
    /// The ring for fan-outs; nil if io_uring can't be used. It is made by the worker's thread, which alone may use it.
    var ring: SendRing?
    var deflater: Deflater

    /// The JSON text that is being written.
    var text = MessageText()
    /// The name of the connection whose request is being processed.
    var nameText = MessageText()

    /// The answers to connections of other workers, by worker.
    let answers: [ReplyBatch]
    var hasAnswers = false
    /// Homes of channels that are to say when they have answered a connection's requests.
    var pendingFences: [(home: Int, channel: String, connection: ConnectionReference)] = []

    /// The channels with published messages that have not been handed over.
    var published: ContiguousArray<UInt32> = []
    /// The time at which messages that wait for `flush_delay` are handed over, in nanoseconds of the worker's clock.
    var flushAt: UInt64?
    var flushDelay: UInt64

    /// The channels with something for the broker, and those to subscribe.
    var shared: ContiguousArray<UInt32> = []
    var subscriptions: [Name: Subscription] = [:]
    /// The number of the last batch for the broker: at first the time in microseconds since 1970, so that it is larger
    /// than those of earlier processes.
    var batchNumber = UInt64(max(0, clinux_realtime_milliseconds())) * 1_000

    /// The size in bytes of the missed messages that the turn has encoded.
    var missedByteCount = 0
    /// The number of connections that the turn sent to.
    var flushedCount = 0
    /// The arrival times of the messages that the turn has sent, in nanoseconds of the monotonic clock.
    var sentOn: ContiguousArray<UInt64> = []

    init(_ configuration: EngineConfiguration, frames: ByteMeter) {
        direct = SegmentBuilder(frames)
        deflater = Deflater(level: configuration.websocket.compressionLevel)
        answers = (0..<configuration.workerCount).map { _ in ReplyBatch(frames) }
        flushDelay = WorkerClock.nanoseconds(configuration.server.flushDelay)
    }
}
