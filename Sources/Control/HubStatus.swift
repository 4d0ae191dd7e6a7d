/// The hub as a whole at one moment. Counters are since the daemon started.
package struct HubStatus: Codable, Sendable, Hashable {
    /// Whether the hub takes connections.
    package enum State: String, Codable, Sendable {
        /// It does.
        case running
        /// It is sending its connections away, and takes no new ones.
        case draining
    }

    /// The daemon's version.
    package var version: String
    /// The daemon's process id.
    package var pid: Int
    /// Whether the hub takes connections.
    package var state: State
    /// Why the hub takes no new connections; nil where it does.
    package var notReady: String?
    /// When the daemon was ready: RFC 3339, UTC, milliseconds.
    package var startedAt: String
    /// Seconds since then.
    package var uptimeSeconds: Double
    /// Connections open or closing now.
    package var connections: Int
    /// The most connections the hub takes.
    package var maxConnections: Int
    /// Connections of each worker.
    package var connectionsPerWorker: [Int]
    /// Connections whose opening handshake succeeded.
    package var accepted: Int
    /// Connections refused before or in their opening handshake, by reason.
    package var refused: [String: Int]
    /// Connections closed after it, by reason.
    package var closed: [String: Int]
    /// Messages that came from clients.
    package var messagesIn: Int
    /// Messages sent to clients, each counted once per receiver.
    package var messagesOut: Int
    /// Bytes that came from clients.
    package var bytesIn: Int
    /// Bytes sent to clients.
    package var bytesOut: Int
    /// Bytes that wait for slow clients to read.
    package var queuedBytes: Int
    /// Connections that have something waiting now.
    package var slowConsumers: Int
    /// What the hub holds for its clients.
    package var memory: MemoryStatus
    /// Where the hub listens, such as `[::]:8080`.
    package var listeners: [String]
    /// The configuration files in force, in the order they were read; empty on built-in defaults.
    package var configurationFiles: [String]
    /// The keys that are otherwise in the configuration than in force, and take effect after a restart only.
    package var pendingRestart: [String]?
    /// The keys that are given and not used, because systemd passes sockets in their place.
    package var unusedKeys: [String]?
    /// What an administrator should know and decide.
    package var notices: [String]?
    /// How far the drain is; nil while there is none.
    package var drain: DrainProgress?

    /// The hub at one moment.
    package init(
        version: String = WSD.version, pid: Int, state: State, notReady: String? = nil, startedAt: String,
        uptimeSeconds: Double,
        connections: Int, maxConnections: Int, connectionsPerWorker: [Int], accepted: Int, refused: [String: Int],
        closed: [String: Int], messagesIn: Int, messagesOut: Int, bytesIn: Int, bytesOut: Int, queuedBytes: Int,
        slowConsumers: Int, memory: MemoryStatus = MemoryStatus(), listeners: [String],
        configurationFiles: [String], pendingRestart: [String]? = nil, unusedKeys: [String]? = nil,
        notices: [String]? = nil, drain: DrainProgress? = nil
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
        self.drain = drain
    }
}
