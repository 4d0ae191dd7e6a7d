import Authentication
import Base
import Broker
import BrokerSupport
import ClusterControl
import Control
import Engine
import Glibc
import LogBroker
import Logging
import NATSBroker
import RedisBroker
import Settings
import Synchronization

/// The broker that this node shares its channels by, and what is known of its health.
final class NodeBroker: Sendable {
    let broker: any Broker
    let node: NodeID
    let name: String
    /// The broker's figures, for metrics.
    let statistics: @Sendable () -> BrokerStatistics
    private let logger: Logger
    private let state: Mutex<BrokerHealthLog>
    private let overrun = Mutex(Overrun())
    private let sinks = Mutex<(hub: Hub?, message: (@Sendable ([UInt8], NodeID) -> Void)?)>((nil, nil))

    /// The broker of a configuration; nil if the node is alone.
    ///
    /// - Parameter addresses: those that the node listens on, for the other nodes.
    /// - Throws: what is wrong with a file that the configuration names.
    static func make(
        _ configuration: Settings.Broker, channels: [Settings.Channel], addresses: [String], logger: Logger
    ) throws(KeyErrors) -> NodeBroker? {
        guard configuration.type != .local, let url = configuration.allURLs.first else { return nil }
        let node = NodeID.random()
        let name = configuration.nodeNameOrHost
        let description = NodeDescription(
            id: node, name: name, version: WSD.version, addresses: addresses, startedAt: Clock.milliseconds())
        // Redis takes no other characters.
        let clientName = "wsd-" + String(name.unicodeScalars.map { "!"..."~" ~= $0 ? Character($0) : "_" })
        let place = configuration.allURLs.map(\.description).joined(separator: ", ")
        if configuration.type == .nats {
            var options = try configuration.natsOptions(url, node)
            options.nodeDescription = description
            options.clientName = clientName
            let broker = NATSBroker(options)
            return NodeBroker(broker, node: node, name: name, place: place, logger: logger) { broker.statistics }
        }
        if configuration.type.isLog {
            let plugin = try configuration.plugin()
            var options = try configuration.logOptions(url, channels, node, clientName)
            options.nodeDescription = description
            logger.info("the broker is reached by \(plugin.library)")
            let broker = LogBroker(plugin, options)
            return NodeBroker(broker, node: node, name: name, place: place, logger: logger) { broker.statistics }
        }
        var options = try configuration.redisOptions(url, node)
        options.nodeDescription = description
        options.clientName = clientName
        let broker = RedisBroker(options)
        return NodeBroker(broker, node: node, name: name, place: place, logger: logger) { broker.statistics }
    }

    private init(
        _ broker: any Broker, node: NodeID, name: String, place: String, logger: Logger,
        statistics: @escaping @Sendable () -> BrokerStatistics
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
    static var hostName: String {
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

/// When the log is told that deliveries were dropped: every ten seconds at most.
private struct Overrun {
    private var toldCount: UInt64 = 0
    private var toldAt: ContinuousClock.Instant?

    mutating func isToldNow(of count: UInt64) -> Bool {
        guard count != toldCount else { return false }
        let now = ContinuousClock.now
        if let toldAt, now - toldAt < .seconds(10) { return false }
        (toldCount, toldAt) = (count, now)
        return true
    }
}

extension NodeBroker: BrokerSink {
    func take(_ events: [BrokerEvent]) {
        var isForHub = false
        for event in events {
            switch event {
            case .health(let health):
                note(health)
                isForHub = true
            case .message(let bytes, let node): sinks.withLock { $0.message }?(bytes, node)
            default: isForHub = true
            }
        }
        guard isForHub, let hub = sinks.withLock({ $0.hub }) else { return }
        hub.take(events)
        let dropped = hub.brokerDeliveries.droppedCount
        if overrun.withLock({ $0.isToldNow(of: dropped) }) {
            logger.warning(
                "the workers do not keep up with the broker; deliveries are dropped, and asked for again or told as gaps",
                metadata: ["dropped": "\(dropped)"])
        }
    }
}

extension Settings.Broker {
    /// The name of this node for people.
    var nodeNameOrHost: String { nodeName.isEmpty ? NodeBroker.hostName : nodeName }

    /// The options of Redis.
    func redisOptions(_ url: BrokerURL, _ node: NodeID) throws(KeyErrors) -> RedisBroker.Options {
        var options = RedisBroker.Options(try servers(url), node: node)
        options.user = url.user
        options.password = try password(url)
        options.database = url.database
        if url.scheme.usesTLS {
            options.tls = BrokerTLS(authorityFile: authorityFile?.path)
        }
        options.prefix = prefix
        options.probeInterval = probeInterval
        options.presenceTTL = presenceTTL
        return options
    }

    /// The options of NATS.
    func natsOptions(_ url: BrokerURL, _ node: NodeID) throws(KeyErrors) -> NATSBroker.Options {
        let servers = allURLs.flatMap(\.hosts).map { NATSAddress(host: $0.name, port: $0.port) }
        var options = NATSBroker.Options(servers, node: node)
        options.login = try natsLogin(url)
        if url.scheme.usesTLS { options.tls = BrokerTLS(authorityFile: authorityFile?.path) }
        options.prefix = prefix
        options.replicas = natsReplicas
        options.storesInFiles = natsStorage == .file
        options.probeInterval = probeInterval
        options.presenceTTL = presenceTTL
        return options
    }

    /// A user with a password, a token, which is a user or a password without the other, or a key.
    private func natsLogin(_ url: BrokerURL) throws(KeyErrors) -> NATSLogin {
        if let credentialsFile {
            let text = try password(credentialsFile, "credentials_file")
            do throws(NATSKeyError) { return try NATSLogin(file: text) } catch {
                throw KeyErrors(errors: [KeyError("broker.credentials_file = \"\(credentialsFile)\": \(error)")])
            }
        }
        switch (url.user, try password(url)) {
        case (let user?, let password?): return .user(user, password: password)
        case (let token?, nil), (nil, let token?): return .token(token)
        case (nil, nil): return .none
        }
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
    ///
    /// - Parameter loadsPlugin: whether the plugin is loaded, if there is one. It can't be unloaded.
    func check(loadsPlugin: Bool) throws(KeyErrors) {
        if let url = allURLs.first { if type == .nats { _ = try natsLogin(url) } else { _ = try password(url) } }
        if type.isLog { if loadsPlugin { _ = try plugin() } else { try findPlugin() } }
        _ = try sentinelPassword()
        guard let authorityFile else { return }
        do throws(KeyError) {
            _ = try KeyFileReader.contents(
                of: authorityFile.path, shownAs: "broker.ca_file = \"\(authorityFile)\"")
        } catch { throw KeyErrors(errors: [error]) }
    }

    func password(_ url: BrokerURL) throws(KeyErrors) -> String? {
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
            guard !bytes.isEmpty else { throw KeyError("\(origin): the file is empty; write the password into it") }
            guard let text = String(validating: bytes, as: UTF8.self) else { throw KeyError("\(origin): not UTF-8") }
            return text
        } catch { throw KeyErrors(errors: [error]) }
    }
}
