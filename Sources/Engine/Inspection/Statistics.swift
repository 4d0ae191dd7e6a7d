package import Base

/// The statistics of a worker since its start, as plain integers. A copy shares nothing with the original.
package struct Statistics: Sendable {
    /// The present number of open WebSockets.
    package var connections = 0
    package var accepted: UInt64 = 0
    package var opened: UInt64 = 0
    /// Messages that were not published because the broker did not take them.
    package var refusedPublications: UInt64 = 0
    /// Refusals by `RefusalCause.rawValue`.
    package var refused = InlineArray<19, UInt64>(repeating: 0)
    /// Closed connections by `CloseCause.rawValue`.
    package var closed = InlineArray<20, UInt64>(repeating: 0)
    /// Closed connections by the code of the first close frame, in the order of `closeCodeLabels`; 1006 if there was
    /// none.
    package var closeCodes = InlineArray<19, UInt64>(repeating: 0)
    package var messagesIn: UInt64 = 0
    package var messagesOut: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// The bytes that wait for slow connections at present.
    package var queuedBytes = 0
    /// The connections that have something waiting at present.
    package var slowConsumers = 0
    /// Messages that the queue policy dropped.
    package var dropped: UInt64 = 0
    /// Connections whose queue was over `queue.limit`, by `QueuePolicy.rawValue`. A connection counts again only after
    /// its queue has been empty.
    package var overLimit = InlineArray<3, UInt64>(repeating: 0)
    /// The present number of subscriptions: a connection has one for each channel that it is in.
    package var subscriptions = 0
    /// Binary messages among `messagesOut`; the others are text.
    package var binaryOut: UInt64 = 0
    /// Received frames by opcode (RFC 6455, section 5.2): a fragment that isn't the first is a continuation.
    package var framesIn = InlineArray<17, UInt64>(repeating: 0)
    /// Sent control frames by opcode.
    package var controlFramesOut = InlineArray<17, UInt64>(repeating: 0)
    /// Bytes before and after compression by permessage-deflate.
    package var deflatedFrom: UInt64 = 0
    package var deflatedTo: UInt64 = 0
    /// Bytes of compressed messages from clients, before and after inflating.
    package var inflatedFrom: UInt64 = 0
    package var inflatedTo: UInt64 = 0
    /// The messages that wait for slow connections at present.
    package var queuedMessages = 0
    package var turns: UInt64 = 0
    /// The duration of turns, from waking up to having sent their output.
    package var turnTimes = Histogram()
    /// The number of connections that a turn sent to.
    package var batches = Histogram()
    /// The time from a message's arrival until it was passed to the kernel for the subscribers of a worker.
    package var latencies = Histogram()
    /// The time from accept to the WebSocket's opening.
    package var handshakes = Histogram()
    /// Open WebSockets by the endpoint's index in the configuration.
    package var connectionsByEndpoint: [Int: Int] = [:]
    /// The number of channels whose home is this worker.
    package var channels = 0
    /// The cost of the history of these channels, in bytes.
    package var historyBytes = 0
    /// The memory held for clients.
    package var memory = MemoryFigures()
    /// Whether the worker did not answer in time, so that these are its previous statistics.
    package var isStale = false

    package init() {}

    /// The labels of `closeCodes`. Other codes share a label, because a client may send any code and must not choose a
    /// label.
    package static let closeCodeLabels = (1000...1015).map(String.init) + ["3000-3999", "4000-4999", "other"]

    mutating func countClose(_ code: UInt16) {
        let place =
            switch code {
            case 1000...1015: Int(code) - 1000
            case 3000...3999: 16
            case 4000...4999: 17
            default: 18
            }
        closeCodes[place] &+= 1
    }

    /// The sum of all workers' statistics.
    package init(total workers: [Statistics]) {
        self.init()
        for worker in workers { self += worker }
    }

    /// Adds another worker's statistics.
    package static func += (total: inout Statistics, other: Statistics) {
        total.connections += other.connections
        total.accepted += other.accepted
        total.opened += other.opened
        total.refusedPublications += other.refusedPublications
        for index in total.refused.indices { total.refused[index] += other.refused[index] }
        for index in total.closed.indices { total.closed[index] += other.closed[index] }
        for index in total.closeCodes.indices { total.closeCodes[index] += other.closeCodes[index] }
        total.messagesIn += other.messagesIn
        total.messagesOut += other.messagesOut
        total.bytesIn += other.bytesIn
        total.bytesOut += other.bytesOut
        total.queuedBytes += other.queuedBytes
        total.slowConsumers += other.slowConsumers
        total.dropped += other.dropped
        for policy in total.overLimit.indices { total.overLimit[policy] += other.overLimit[policy] }
        total.subscriptions += other.subscriptions
        total.binaryOut += other.binaryOut
        for opcode in total.framesIn.indices { total.framesIn[opcode] += other.framesIn[opcode] }
        for opcode in total.controlFramesOut.indices {
            total.controlFramesOut[opcode] += other.controlFramesOut[opcode]
        }
        total.deflatedFrom += other.deflatedFrom
        total.deflatedTo += other.deflatedTo
        total.inflatedFrom += other.inflatedFrom
        total.inflatedTo += other.inflatedTo
        total.queuedMessages += other.queuedMessages
        total.turns += other.turns
        total.turnTimes += other.turnTimes
        total.batches += other.batches
        total.latencies += other.latencies
        total.handshakes += other.handshakes
        total.connectionsByEndpoint.merge(other.connectionsByEndpoint, uniquingKeysWith: +)
        total.channels += other.channels
        total.historyBytes += other.historyBytes
        total.memory += other.memory
        total.isStale = total.isStale || other.isStale
    }
}
