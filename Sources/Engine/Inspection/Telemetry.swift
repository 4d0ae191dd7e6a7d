/// What a worker counts and remembers for operators.
final class Telemetry {
    var statistics = Statistics()
    /// The last endings of connections.
    var endings: EndingLogs
    var userAgents = UserAgents()
    /// Open WebSockets by the endpoint's index in the configuration.
    var connectionsByEndpoint: [Int: Int] = [:]

    /// The time of the next check whether memory can be returned to the system; nil until there has been enough
    /// traffic.
    var trimAt: UInt64?
    /// The total traffic in bytes at the last such check.
    var trafficSeen: UInt64 = 0

    init(workerCount: Int) { endings = EndingLogs(capacity: max(512, 8_192 / workerCount)) }
}
