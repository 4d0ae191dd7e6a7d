import Authentication
import Base
import Broker
import ClusterControl
import Control
import Engine
import Glibc
import Logging
import RedisBroker
import Settings
import Synchronization

/// The broker that this node shares its channels by, and what is known of its health.
final class NodeBroker: Sendable {
    let broker: any Broker
    let node: NodeID
    let name: String
    /// The broker's figures, for metrics.
    let statistics: @Sendable () -> RedisStatistics
    private let logger: Logger
    private let state: Mutex<BrokerHealthLog>
    private let sinks = Mutex<(hub: Hub?, message: (@Sendable ([UInt8], NodeID) -> Void)?)>((nil, nil))

    /// The broker of a configuration; nil if the node is alone.
    ///
    /// - Parameter addresses: those that the node listens on, for the other nodes.
    /// - Throws: what is wrong with a file that the configuration names.
    static func make(
        _ configuration: Settings.Broker, addresses: [String], logger: Logger
    ) throws(KeyErrors) -> NodeBroker? {
        guard configuration.type == .redis, let url = configuration.allURLs.first else { return nil }
        let node = NodeID.random()
        var options = try configuration.redisOptions(url, node)
        let name = configuration.nodeName.isEmpty ? hostName : configuration.nodeName
        options.nodeDescription = NodeDescription(
            id: node, name: name, version: WSD.version, addresses: addresses, startedAt: Clock.milliseconds())
        // Redis takes no other characters.
        options.clientName = "wsd-" + String(name.unicodeScalars.map { "!"..."~" ~= $0 ? Character($0) : "_" })
        let broker = RedisBroker(options)
        let place = configuration.allURLs.map(\.description).joined(separator: ", ")
        return NodeBroker(broker, node: node, name: name, place: place, logger: logger) { broker.statistics }
    }

    private init(
        _ broker: any Broker, node: NodeID, name: String, place: String, logger: Logger,
        statistics: @escaping @Sendable () -> RedisStatistics
    ) {
        self.broker = broker
        self.node = node
        self.name = name
        self.logger = logger
        self.statistics = statistics
        let since = Clock.milliseconds()
        state = Mutex(BrokerHealthLog(.down(reason: "not connected to \(place) yet", since: since)))
    }

    /// The time that the first connection may take without a word in the log.
    private static let startTime: Duration = .seconds(1)

    /// The name of this host (gethostname(2)).
    private static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "wsd" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Connects the hub with the broker.
    func start(_ hub: Hub) {
        sinks.withLock { $0.hub = hub }
        logger.notice("node \(name) (\(node)) shares its channels through a broker")
        broker.start(self)
        Task {
            try await Task.sleep(for: Self.startTime)
            log(state.withLock { $0.startIsOver() })
        }
    }

    /// Sends what waits, leaves the other nodes, and disconnects.
    func stop(within time: Duration) async {
        state.withLock { $0.stop() }
        await broker.stop(within: time)
    }

    /// Sets who gets the messages of other nodes.
    func setReceiver(_ receiver: @escaping @Sendable ([UInt8], NodeID) -> Void) {
        sinks.withLock { $0.message = receiver }
    }

    /// The operations on all nodes, which begins to take the messages of the others.
    func cluster(of backend: HubBackend, _ logger: Logger) -> Cluster {
        let cluster = Cluster(broker: broker, id: node, name: name, backend: backend) { logger.warning("\($0)") }
        setReceiver { cluster.take($0, from: $1) }
        return cluster
    }

    /// Whether the broker does its work.
    var health: BrokerHealth { state.withLock { $0.health } }

    /// The reason why the node is not ready; nil if the broker does its work.
    var problem: String? {
        guard case .down(let reason, _) = health else { return nil }
        return "the broker does not work: \(reason)"
    }

    /// The number of nodes that are there; nil if the broker does not say within a second.
    func nodeCount() async -> Int? {
        guard problem == nil else { return nil }
        let nodes = await within(.seconds(1)) { [broker] in await broker.nodes() ?? [] } ?? []
        return nodes.isEmpty ? nil : nodes.count
    }

    private func note(_ health: BrokerHealth) {
        log(state.withLock { $0.note(health, at: Clock.milliseconds()) })
    }

    private func log(_ line: BrokerHealthLog.Line?) {
        if let line { logger.log(level: line.level, "\(line.text)") }
    }
}

extension NodeBroker: BrokerSink {
    func take(_ events: [BrokerEvent]) {
        var isForChannels = false
        for event in events {
            switch event {
            case .health(let health): note(health)
            case .message(let bytes, let node): sinks.withLock { $0.message }?(bytes, node)
            default: isForChannels = true
            }
        }
        if isForChannels { sinks.withLock { $0.hub }?.take(events) }
    }
}

extension Settings.Broker {
    /// The options of Redis.
    fileprivate func redisOptions(_ url: BrokerURL, _ node: NodeID) throws(KeyErrors) -> RedisBroker.Options {
        var options = RedisBroker.Options(try servers(url), node: node)
        options.user = url.user
        options.password = try password(url)
        options.database = url.database
        if url.scheme.usesTLS {
            options.tls = RedisBroker.TLS(authorityFile: authorityFile?.path)
        }
        options.prefix = prefix
        options.probeInterval = probeInterval
        options.presenceTTL = presenceTTL
        return options
    }

    /// The servers' URLs, one or several.
    fileprivate var allURLs: [BrokerURL] { url.map { [$0] } ?? urls }

    private func servers(_ url: BrokerURL) throws(KeyErrors) -> RedisBroker.Servers {
        let addresses = url.hosts.map { RedisAddress.tcp(host: $0.name, port: $0.port) }
        if url.scheme.isSentinel {
            return .sentinel(
                RedisBroker.Sentinel(
                    masterName: url.masterName, addresses: addresses, password: try sentinelPassword()))
        }
        if url.scheme.isCluster { return .cluster(addresses) }
        return .independent(
            allURLs.compactMap { url in
                url.scheme == .unix
                    ? .unix(path: url.path) : url.hosts.first.map { .tcp(host: $0.name, port: $0.port) }
            })
    }

    /// Checks the files that the configuration names.
    func check() throws(KeyErrors) {
        if let url = allURLs.first { _ = try password(url) }
        _ = try sentinelPassword()
        guard let authorityFile else { return }
        do throws(KeyError) {
            _ = try KeyFileReader.contents(
                of: authorityFile.path, shownAs: "broker.ca_file = \"\(authorityFile)\"")
        } catch { throw KeyErrors(errors: [error]) }
    }

    private func password(_ url: BrokerURL) throws(KeyErrors) -> String? {
        guard let passwordFile else { return url.password }
        return try password(passwordFile, "password_file")
    }

    private func sentinelPassword() throws(KeyErrors) -> String? {
        guard let sentinelPasswordFile else { return nil }
        return try password(sentinelPasswordFile, "sentinel_password_file")
    }

    private func password(_ file: KeyFile, _ key: String) throws(KeyErrors) -> String {
        let origin = "broker.\(key) = \"\(file)\""
        do throws(KeyError) {
            var bytes = try KeyFileReader.contents(of: file.path, shownAs: origin)[...]
            // An editor ends the line.
            while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
            guard !bytes.isEmpty else { throw KeyError("\(origin): empty") }
            guard let text = String(validating: bytes, as: UTF8.self) else { throw KeyError("\(origin): not UTF-8") }
            return text
        } catch { throw KeyErrors(errors: [error]) }
    }
}
