package import Base

/// What a broker has done since its start.
package struct BrokerStatistics: Sendable {
    /// The time from handing a batch to a connection until the answer.
    package var roundTrips = Histogram()
    /// The time from a publication until it was delivered here, by the clocks of two nodes.
    package var lags = Histogram()
    /// Batches that were accepted, refused, and sent more than once.
    package var accepted: UInt64 = 0
    package var refused: UInt64 = 0
    package var repeated: UInt64 = 0
    /// The bytes of the publications in batches that were accepted.
    package var publishedBytes: UInt64 = 0
    /// Batches delivered, the numbered publications in them, and their bytes.
    package var delivered: UInt64 = 0
    package var deliveredMessages: UInt64 = 0
    package var deliveredBytes: UInt64 = 0
    /// Batches that were delivered before, or are of an epoch that has ended.
    package var droppedBatches: UInt64 = 0
    /// Messages of channels that are not in the documented form.
    package var damagedMessages: UInt64 = 0
    /// Connections made, of both kinds, after the first ones.
    package var reconnects: UInt64 = 0
    /// Gaps that the history filled, gaps that remained, and channels whose numbering has begun anew.
    package var gapsFilled: UInt64 = 0
    package var gapsLost: UInt64 = 0
    package var renumberings: UInt64 = 0
    /// Probes that did not come back in time.
    package var probesLost: UInt64 = 0
    /// The time that the last probe took, in nanoseconds; with several servers, that of the slowest.
    package var lastProbe: UInt64 = 0
    /// Batches that are not answered at present, and their bytes.
    package var queuedBatches = 0
    package var queuedBytes = 0
    /// The channels that are subscribed at present, and those of them that wait for the server.
    package var channels = 0
    package var waitingChannels = 0
    /// Whether the broker is up.
    package var isUp = false

    package init() {}

    /// Adds what was done at another server.
    package mutating func add(_ other: BrokerStatistics) {
        roundTrips += other.roundTrips
        lags += other.lags
        accepted &+= other.accepted
        refused &+= other.refused
        repeated &+= other.repeated
        publishedBytes &+= other.publishedBytes
        delivered &+= other.delivered
        deliveredMessages &+= other.deliveredMessages
        deliveredBytes &+= other.deliveredBytes
        droppedBatches &+= other.droppedBatches
        damagedMessages &+= other.damagedMessages
        reconnects &+= other.reconnects
        gapsFilled &+= other.gapsFilled
        gapsLost &+= other.gapsLost
        renumberings &+= other.renumberings
        probesLost &+= other.probesLost
        lastProbe = max(lastProbe, other.lastProbe)
        queuedBatches += other.queuedBatches
        queuedBytes += other.queuedBytes
        channels += other.channels
        waitingChannels += other.waitingChannels
    }
}
