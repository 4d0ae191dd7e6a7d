/// What a worker counts, as plain integers, for the whole of its life. A copy shares nothing with it.
package struct Statistics: Sendable {
    /// Open WebSockets now.
    package var connections = 0
    package var accepted: UInt64 = 0
    package var opened: UInt64 = 0
    /// By `RefusalCause.rawValue`.
    package var refused = InlineArray<14, UInt64>(repeating: 0)
    /// By `CloseCause.rawValue`.
    package var closed = InlineArray<16, UInt64>(repeating: 0)
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
    package var turns: UInt64 = 0
    /// Channels whose home is here.
    package var channels = 0
    /// What the history of the channels whose home is here costs.
    package var historyBytes = 0

    package init() {}

    /// Adds another worker's figures.
    package static func += (total: inout Statistics, other: Statistics) {
        total.connections += other.connections
        total.accepted += other.accepted
        total.opened += other.opened
        for index in total.refused.indices { total.refused[index] += other.refused[index] }
        for index in total.closed.indices { total.closed[index] += other.closed[index] }
        total.messagesIn += other.messagesIn
        total.messagesOut += other.messagesOut
        total.bytesIn += other.bytesIn
        total.bytesOut += other.bytesOut
        total.queuedBytes += other.queuedBytes
        total.slowConsumers += other.slowConsumers
        total.dropped += other.dropped
        total.turns += other.turns
        total.channels += other.channels
        total.historyBytes += other.historyBytes
    }
}
