/// What a Redis broker has done since its start.
package struct RedisStatistics: Sendable {
    /// The time from handing a batch to a connection until the answer.
    package var roundTrips = TimeHistogram()
    /// The time from a publication until it was delivered here, by the clocks of two nodes.
    package var lags = TimeHistogram()
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
    mutating func add(_ other: RedisStatistics) {
        roundTrips.add(other.roundTrips)
        lags.add(other.lags)
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

/// A histogram of times.
package struct TimeHistogram: Sendable {
    /// The upper bounds of the buckets, in seconds; one more bucket counts longer times.
    package static let bounds = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
    ]
    private static let nanosecondBounds: InlineArray<15, UInt64> = [
        50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
        100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000,
    ]

    /// The number of times in each bucket; each is in one only.
    package private(set) var counts = InlineArray<16, UInt64>(repeating: 0)
    /// The sum of the times, in nanoseconds.
    package private(set) var sum: UInt64 = 0

    package init() {}

    /// The number of times.
    package var count: UInt64 {
        var total: UInt64 = 0
        for bucket in counts.indices { total &+= counts[bucket] }
        return total
    }

    mutating func add(_ other: TimeHistogram) {
        for bucket in counts.indices { counts[bucket] &+= other.counts[bucket] }
        sum &+= other.sum
    }

    mutating func record(nanoseconds: UInt64) {
        var bucket = 0
        while bucket < 15, nanoseconds > Self.nanosecondBounds[bucket] { bucket += 1 }
        counts[bucket] &+= 1
        sum &+= nanoseconds
    }
}
