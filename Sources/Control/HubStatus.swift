/// The status of the hub at one moment. Counters start with the daemon.
package struct HubStatus: Codable, Sendable, Hashable {
    /// Whether the hub accepts connections.
    package enum State: String, Codable, Sendable {
        /// The hub accepts connections.
        case running
        /// The hub is closing its connections, and accepts no new ones.
        case draining
    }

    /// The daemon's version.
    package var version: String
    /// The daemon's process id.
    package var pid: Int
    /// Whether the hub accepts connections.
    package var state: State
    /// The reason why the hub accepts no new connections; nil if it does.
    package var notReady: String?
    /// The time at which the daemon was ready: RFC 3339, UTC, milliseconds.
    package var startedAt: String
    /// Seconds since the daemon was ready.
    package var uptimeSeconds: Double
    /// Connections open or closing now.
    package var connections: Int
    /// The maximum number of connections.
    package var maxConnections: Int
    /// The number of connections of each worker.
    package var connectionsPerWorker: [Int]
    /// Connections whose opening handshake succeeded.
    package var accepted: Int
    /// Connections refused before or in their opening handshake, by reason.
    package var refused: [String: Int]
    /// Connections closed after their opening handshake, by reason.
    package var closed: [String: Int]
    /// Messages received from clients.
    package var messagesIn: Int
    /// Messages sent to clients, each counted once per recipient.
    package var messagesOut: Int
    /// Bytes received from clients.
    package var bytesIn: Int
    /// Bytes sent to clients.
    package var bytesOut: Int
    /// Bytes that wait for slow clients to read.
    package var queuedBytes: Int
    /// The number of connections that have something queued now.
    package var slowConsumers: Int
    /// The memory held for clients.
    package var memory: MemoryStatus
    /// The addresses that the hub listens on, such as `[::]:8080`.
    package var listeners: [String]
    /// The configuration files in force, in the order in which they were read; empty if all settings are built-in
    /// defaults.
    package var configurationFiles: [String]
    /// The keys whose configured value differs from the value in force and takes effect only after a restart.
    package var pendingRestart: [String]?
    /// The keys that are set but not used, because systemd passes sockets instead.
    package var unusedKeys: [String]?
    /// Notices for the administrator, who should make a decision.
    package var notices: [String]?
    /// The sources outside whose records are published.
    package var consumers: [ConsumerStatus]?
    /// The restart by which this process began; nil if it took nothing over.
    package var lastRestart: RestartReport?
    /// The histories by which this process began; nil if the process before was not killed, or left none.
    package var recovered: RecoveryReport?
    /// The certificates that the hub shows its clients; nil if it has none.
    package var certificates: [CertificateStatus]?
    /// The progress of the drain; nil if there is none.
    package var drain: DrainProgress?

    /// The status at one moment.
    package init(
        version: String = WSD.version, pid: Int, state: State, notReady: String? = nil, startedAt: String,
        uptimeSeconds: Double,
        connections: Int, maxConnections: Int, connectionsPerWorker: [Int], accepted: Int, refused: [String: Int],
        closed: [String: Int], messagesIn: Int, messagesOut: Int, bytesIn: Int, bytesOut: Int, queuedBytes: Int,
        slowConsumers: Int, memory: MemoryStatus = MemoryStatus(), listeners: [String],
        configurationFiles: [String], pendingRestart: [String]? = nil, unusedKeys: [String]? = nil,
        notices: [String]? = nil, consumers: [ConsumerStatus]? = nil, lastRestart: RestartReport? = nil,
        drain: DrainProgress? = nil
    ) {
        self.version = version
        self.pid = pid
        self.state = state
        self.notReady = notReady
        self.startedAt = startedAt
        self.uptimeSeconds = uptimeSeconds
        self.connections = connections
        self.maxConnections = maxConnections
        self.connectionsPerWorker = connectionsPerWorker
        self.accepted = accepted
        self.refused = refused
        self.closed = closed
        self.messagesIn = messagesIn
        self.messagesOut = messagesOut
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.queuedBytes = queuedBytes
        self.slowConsumers = slowConsumers
        self.memory = memory
        self.listeners = listeners
        self.configurationFiles = configurationFiles
        self.pendingRestart = pendingRestart
        self.unusedKeys = unusedKeys
        self.notices = notices
        self.consumers = consumers
        self.lastRestart = lastRestart
        self.drain = drain
    }
}
