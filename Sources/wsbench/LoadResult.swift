/// What one thread saw.
struct LoadResult: Sendable {
    /// What has arrived. A lane is a connection's index times the publishers, plus the publisher; or with
    /// `Plan.Audience.own` a publisher's index.
    var account: DeliveryAccount
    /// From sending, or in the open loop from when a message was due, to its arrival.
    var response = Latency()
    /// From sending to arrival; recorded in the open loop only.
    var service = Latency()
    /// Of the probes before the storm.
    var quiet = Latency()
    /// From connect(2) to the end of the response's head.
    var handshakes = Latency()

    var sentCount = 0
    /// The sum of how far each connection is with each publisher.
    var settledCount = 0
    /// Messages by publisher of this thread.
    var publisherSentCounts: [Int] = []
    /// Messages that were due and never sent.
    var unsentCount = 0
    var measuredSentCount = 0
    var measuredDeliveryCount = 0
    var compressedCount = 0
    /// Messages that aren't of this run.
    var foreignCount = 0
    /// Messages of this run that were for others.
    var othersCount = 0
    /// Messages of another size than they were sent with, or that couldn't be inflated.
    var damagedCount = 0
    var pingCount = 0
    /// How often a publisher had to send although its window was closed.
    var stuckCount = 0

    var handshakeCount = 0
    /// Connections that were open at least once.
    var openedCount = 0
    /// When the last of them was done, in nanoseconds of CLOCK_MONOTONIC.
    var lastHandshake: UInt64 = 0
    var failedCount = 0
    var compressedConnectionCount = 0
    /// Connections that were answered with another status than 101.
    var refusals: [Int: Int] = [:]
    /// Connections that could not be opened otherwise, or not be closed, by what went wrong.
    var errors: [String: Int] = [:]
    /// Open connections that ended, by how.
    var ends: [String: Int] = [:]
    /// The same of those that had stopped reading, and those of them still open at the end.
    var stalledEnds: [String: Int] = [:]
    /// Their indices in the thread, stalled ones included.
    var endedConnections: Set<Int> = []

    /// Those that once were open and have to receive everything.
    var countedConnections: Set<Int> = []

    init(laneCount: Int) { account = DeliveryAccount(laneCount: laneCount) }
}
