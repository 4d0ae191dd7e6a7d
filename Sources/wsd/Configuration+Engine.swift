import Authentication
import Channels
import Configuration
import Engine
import Logging
import Systemd
import WebSocket

extension Configuration {
    /// The part of the configuration that concerns the data plane.
    ///
    /// - Parameters:
    ///   - descriptorLimit: the number of files that the process may have open. Connections beyond what it allows are
    ///     refused properly instead of failing in accept(2).
    ///   - exemptsLoopback: whether the limit per address leaves loopback alone.
    ///   - verifier: checks tokens; nil if no tokens are needed.
    func engineConfiguration(
        descriptorLimit: Int, exemptsLoopback: Bool, verifier: TokenVerifier?
    ) -> EngineConfiguration {
        var engine = EngineConfiguration()
        engine.workerCount = min(
            server.workers > 0 ? server.workers : Hub.usableProcessorCount, Hub.maximumWorkerCount)
        engine.flushDelay = server.flushDelay
        engine.usesSendRing = server.ioUring == .auto
        engine.maximumConnections = maximumConnections(descriptorLimit: descriptorLimit)
        // Room to raise the limit while the daemon runs: address space only, until connections come.
        engine.connectionCapacity = max(
            engine.maximumConnections,
            min(1_000_000, descriptorLimit - Configuration.reservedDescriptors(of: descriptorLimit)))
        engine.maximumConnectionsPerAddress = server.maxConnectionsPerIP
        engine.exemptsLoopback = exemptsLoopback
        engine.handshakeTimeout = server.handshakeTimeout
        engine.maximumHeaderByteCount = server.maxHeaderByteCount
        engine.maximumMessageByteCount = websocket.maxMessageByteCount
        engine.compression = websocket.compression
        engine.compressionLevel = websocket.compressionLevel
        engine.compressionThreshold = websocket.compressionThresholdByteCount
        engine.pingInterval = websocket.pingInterval
        engine.pongTimeout = websocket.pongTimeout
        engine.closeTimeout = websocket.closeTimeout
        engine.messageTimeout = websocket.messageTimeout
        engine.queueLimitByteCount = queue.limitByteCount
        engine.queuePolicy =
            switch queue.policy {
            case .disconnect: .disconnect
            case .dropOldest: .dropOldest
            case .dropNewest: .dropNewest
            }
        engine.writeTimeout = queue.writeTimeout
        engine.messagesPerSecond = limits.messagesPerSecond
        engine.messageBurst = limits.effectiveBurst
        engine.maximumChannels = limits.channels
        engine.errorsPerMinute = limits.errorsPerMinute
        engine.historyByteCount = limits.historyByteCount
        engine.memoryByteCount = limits.memory.byteCount(of: AvailableMemory.byteCount())
        engine.channelRules = ChannelRules(channels.map { (ChannelPattern($0.pattern), $0.settings) })
        if let verifier { engine.verifyToken = { await verifier.verify($0) } }
        engine.tokenCookie = auth.cookie
        engine.refreshGrace = auth.refreshGrace
        engine.tokenLeeway = auth.leeway
        engine.endpoints = endpoints.map { endpoint in
            let clientProtocol: ClientProtocol =
                switch endpoint.protocol {
                case .relay: .relay
                case .json: .json
                }
            return .init(path: endpoint.path, clientProtocol: clientProtocol, channel: endpoint.channel)
        }
        engine.pages = Pages.make(endpoint: endpoints.first { $0.protocol == .json }?.path)
        let hosts = server.allowedHosts
        if !hosts.isEmpty { engine.allowsHost = { host in hosts.contains { $0.matches(host: host) } } }
        let patterns = server.allowedOrigins
        engine.allowsOrigin = { origin, host in
            patterns.isEmpty ? Origin.isSameHost(origin, host: host) : patterns.contains { $0.matches(origin: origin) }
        }
        engine.brokerQueueByteCount = broker.queueLimitByteCount
        engine.brokerQueueTimeout = broker.queueTimeout
        engine.trustedProxies = server.trustedProxies
        return engine
    }

    /// The descriptors that the process needs besides connections: for listeners, control clients, API clients, the
    /// log.
    private static func reservedDescriptors(of limit: Int) -> Int { 32 + min(1_088, limit / 16) }

    /// Logs a warning if the limit of open files allows fewer connections than are configured.
    func warnOfLimit(_ limit: Int, _ logger: Logger) {
        guard limit < server.maxConnections else { return }
        logger.warning(
            """
            the limit of open files allows \(limit) connections, not server.max_connections = \
            \(server.maxConnections); \(DescriptorLimit.advice), and restart
            """)
    }

    private func maximumConnections(descriptorLimit: Int) -> Int {
        max(1, min(server.maxConnections, descriptorLimit - Configuration.reservedDescriptors(of: descriptorLimit)))
    }
}

extension Configuration.Channel {
    /// The settings of the channel, in the type of the data plane.
    fileprivate var settings: ChannelSettings {
        var settings = ChannelSettings()
        settings.presence = presence
        settings.joinLeave = joinLeave
        settings.leaveDelay = Clock.milliseconds(leaveDelay)
        settings.history = History.Limits(
            messageCount: history, age: Clock.milliseconds(historyTTL), byteCount: historyByteCount)
        settings.publish = publish.access
        settings.subscribe = subscribe.access
        settings.maximumMembers = maxMembers
        settings.echo = echo
        return settings
    }
}

extension Configuration.ChannelAccess {
    fileprivate var access: Access {
        switch self {
        case .anyone: .anyone
        case .users: .users
        case .granted: .granted
        case .nobody: .nobody
        }
    }
}

extension ListeningSocket {
    /// The sockets that systemd passed, or else sockets bound to these addresses.
    static func sockets(
        passed: [PassedSocket], else addresses: [ListenAddress]
    ) throws(ListenError) -> [ListeningSocket] {
        guard passed.isEmpty else {
            return passed.map { ListeningSocket(passed: $0.descriptor, address: $0.address) }
        }
        var sockets: [ListeningSocket] = []
        for address in addresses { sockets.append(try ListeningSocket(host: address.address, port: address.port)) }
        return sockets
    }
}
