/// The results of one thread.
struct LoadResult: Sendable {
    /// The deliveries. A lane is a connection's index times the number of publishers, plus the publisher; or with
    /// `Plan.Audience.own` a publisher's index.
    var account: DeliveryAccount
    /// The latency from sending a message, or in the open loop from the time at which it was due, to its arrival.
    var response = Latency()
    /// The latency from sending to arrival; recorded in the open loop only.
    var service = Latency()
    /// The latency of the probes before the storm.
    var quiet = Latency()
    /// The time from connect(2) to the end of the response's head.
    var handshakes = Latency()

    var sentCount = 0
    /// The sum of the positions of each connection for each publisher.
    var settledCount = 0
    /// The number of messages sent by each publisher of this thread.
    var publisherSentCounts: [Int] = []
    /// The number of messages that were due and never sent.
    var unsentCount = 0
    var measuredSentCount = 0
    var measuredDeliveryCount = 0
    var compressedCount = 0
    /// The number of messages that aren't of this run.
    var foreignCount = 0
    /// The number of messages of this run that were for other connections.
    var othersCount = 0
    /// The number of messages whose size had changed, or that couldn't be inflated.
    var damagedCount = 0
    var pingCount = 0
    /// The number of times that a publisher had to send although its window was closed.
    var stuckCount = 0

    var handshakeCount = 0
    /// The number of connections that were open at least once.
    var openedCount = 0
    /// The time of the last completed handshake, in nanoseconds of CLOCK_MONOTONIC.
    var lastHandshake: UInt64 = 0
    var failedCount = 0
    var compressedConnectionCount = 0
    /// The number of connections that got a status other than 101, by status.
    var refusals: [Int: Int] = [:]
    /// The number of connections that could not be opened or closed for another reason, by the error.
    var errors: [String: Int] = [:]
    /// The number of open connections that ended, by kind.
    var ends: [String: Int] = [:]
    /// The same for stalled connections, including those that were still open at the end.
    var stalledEnds: [String: Int] = [:]
    /// The indices in the thread of connections that ended, including stalled ones.
    var endedConnections: Set<Int> = []

    /// The connections that were open at least once and have to receive everything.
    var countedConnections: Set<Int> = []

    init(laneCount: Int) { account = DeliveryAccount(laneCount: laneCount) }
}
