/// What a worker counts, as plain integers, for the whole of its life. A copy shares nothing with it.
package struct Statistics: Sendable {
    /// Open WebSockets now.
    package var connections = 0
    package var accepted: UInt64 = 0
    package var opened: UInt64 = 0
    /// By `RefusalCause.rawValue`.
    package var refused = InlineArray<15, UInt64>(repeating: 0)
    /// By `CloseCause.rawValue`.
    package var closed = InlineArray<16, UInt64>(repeating: 0)
    /// By the code of the first close frame, as `closeCodeLabels` has them; 1006 where there was none.
    package var closeCodes = InlineArray<19, UInt64>(repeating: 0)
    package var messagesIn: UInt64 = 0
    package var messagesOut: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// Bytes that wait for slow connections now.
    package var queuedBytes = 0
    /// Connections that have something waiting now.
    package var slowConsumers = 0
    /// Messages that the queue policy dropped.
    package var dropped: UInt64 = 0
    /// Connections for which more waited than `queue.limit` allows, by `QueuePolicy.rawValue`; each counts once for as long as
    /// something waits for it.
    package var overLimit = InlineArray<3, UInt64>(repeating: 0)
    /// Subscriptions now: a connection has one for each channel that it is in.
    package var subscriptions = 0
    /// Binary messages among `messagesOut`; the others are text.
    package var binaryOut: UInt64 = 0
    /// Frames that came, by opcode (RFC 6455, section 5.2): a fragment that isn't the first is a continuation.
    package var framesIn = InlineArray<16, UInt64>(repeating: 0)
    /// Control frames that were sent, by opcode.
    package var controlFramesOut = InlineArray<16, UInt64>(repeating: 0)
    /// What permessage-deflate was given to compress, and what it made of it.
    package var deflatedFrom: UInt64 = 0
    package var deflatedTo: UInt64 = 0
    /// The same for what came compressed.
    package var inflatedFrom: UInt64 = 0
    package var inflatedTo: UInt64 = 0
    /// Messages that wait for slow connections now.
    package var queuedMessages = 0
    package var turns: UInt64 = 0
    /// From waking up to having sent what there was.
    package var turnTimes = Histogram()
    /// Connections that a turn sent to.
    package var batches = Histogram()
    /// From a message's arrival to its having been handed to the kernel for the subscribers of a worker.
    package var latencies = Histogram()
    /// From accept to the WebSocket's opening.
    package var handshakes = Histogram()
    /// Open WebSockets by the endpoint's place in the configuration.
    package var connectionsByEndpoint: [Int: Int] = [:]
    /// Channels whose home is here.
    package var channels = 0
    /// What the history of the channels whose home is here costs.
    package var historyBytes = 0
    /// Whether the worker did not answer in time, so that these are its figures of before.
    package var isStale = false

    package init() {}

    /// What `closeCodes` counts: a client may send any code, and must not choose a label.
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

    /// All workers' figures together.
    package init(total workers: [Statistics]) {
        self.init()
        for worker in workers { self += worker }
    }

    /// Adds another worker's figures.
    package static func += (total: inout Statistics, other: Statistics) {
        total.connections += other.connections
        total.accepted += other.accepted
        total.opened += other.opened
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
        total.isStale = total.isStale || other.isStale
    }
}
