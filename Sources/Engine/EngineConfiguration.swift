package import Base
package import Broker
package import Channels
package import Settings
package import TLSHandshake
internal import WebSocket

/// The configuration of the data plane: settings as they are, and what the composing program derives from others.
package struct EngineConfiguration: Sendable {
    /// Of these, `workers`, `maxConnections` and `listen` are not used; `workerCount` and `maximumConnections` are.
    package var server: Settings.Server
    package var websocket: Settings.WebSocket
    package var queue: Settings.Queue
    /// Of these, `memory` is not used; `memoryByteCount` is.
    package var limits: Settings.Limits
    /// Of these, `cookie`, `refreshGrace` and `leeway` are used, if there is `verifyToken`.
    package var auth: Settings.Auth
    /// Connections refer to an endpoint by its index.
    package var endpoints: [Settings.Endpoint]
    package var channelRules: ChannelRules

    package var workerCount = 1
    /// The maximum number of concurrent connections.
    package var maximumConnections: Int
    /// The value up to which `maximumConnections` can be raised while the workers run; at least `maximumConnections`
    /// itself.
    package var connectionCapacity = 0
    /// Whether connections from loopback don't count towards `server.maxConnectionsPerIP`.
    package var exemptsLoopback = false
    /// The maximum memory held for clients, in bytes; 0: no limit.
    package var memoryByteCount = 0
    /// Verifies a token and returns its bearer's identity or a refusal; nil if clients need no token.
    package var verifyToken: (@Sendable (String) async -> Result<Identity, TokenRefusal>)?
    /// The broker that shares the channels between nodes, and this node's identity there; nil if this node is alone.
    package var broker: (any Broker)?
    package var node: NodeID?
    /// Of these, `queueLimitByteCount` and `queueTimeout` are used.
    package var brokerSettings: Settings.Broker
    /// How long a handshake of a client without requests waits for the broker to deliver its channel.
    package var subscriptionPatience: Duration = .seconds(1)
    /// What handshakes of TLS go by: certificates and the keys of tickets; nil without them.
    package var tls: TLSContext?
    /// The port for https to which people are redirected who open a page without TLS; nil if they stay.
    package var redirectPort: UInt16?
    /// The answers to challenges of certificate authorities; nil if none are served.
    package var challenges: ChallengeDirectory?
    /// The pages by path.
    package var pages: [String: Page] = [:]

    /// The indices of the endpoints that are closed to new clients; their present clients stay.
    private var retiredEndpoints: Set<Int> = []
    /// The number of this configuration in the order in which the workers get them, from 1 on.
    private(set) var generation: UInt32 = 1

    /// A configuration with nothing derived yet: for one worker, without a limit of memory, tokens or pages.
    package init(_ settings: Settings = Settings()) {
        server = settings.server
        websocket = settings.websocket
        queue = settings.queue
        limits = settings.limits
        auth = settings.auth
        brokerSettings = settings.broker
        endpoints = settings.endpoints
        channelRules = ChannelRules(channels: settings.channels)
        maximumConnections = settings.server.maxConnections
    }

    /// This configuration as the successor of a running one: settings that can't change while the workers run keep
    /// their values, and endpoints keep their index in the list, because connections refer to it.
    func succeeding(_ running: EngineConfiguration) -> EngineConfiguration {
        var next = self
        next.generation = running.generation + 1
        next.workerCount = running.workerCount
        next.server.ioUring = running.server.ioUring
        next.broker = running.broker
        next.node = running.node
        next.connectionCapacity = running.capacity
        next.maximumConnections = min(maximumConnections, running.capacity)
        next.endpoints = running.endpoints
        next.retiredEndpoints = Set(running.endpoints.indices)
        for endpoint in endpoints {
            if let known = next.endpoints.firstIndex(where: { $0.isSame(as: endpoint) }) {
                next.retiredEndpoints.remove(known)
            } else {
                next.endpoints.append(endpoint)
            }
        }
        return next
    }

    /// This configuration as that of a process that follows another one, whose last generation this was.
    func following(generation last: UInt32) -> EngineConfiguration {
        var next = self
        next.generation = last &+ 1
        return next
    }

    /// The index of the endpoint that another process knew by these values; nil if there is none like it.
    func endpoint(like other: Settings.Endpoint) -> Int? {
        endpoints.indices.first { endpoints[$0].isSame(as: other) && !retiredEndpoints.contains($0) }
    }

    /// The index of the endpoint at a path; nil if there is none, or it is closed to new clients.
    func endpoint(at path: String) -> Int? {
        endpoints.indices.first { endpoints[$0].path == path && !retiredEndpoints.contains($0) }
    }

    /// Whether a request may name this host in its `Host` field.
    func allowsHost(_ host: String) -> Bool {
        server.allowedHosts.isEmpty || server.allowedHosts.contains { $0.matches(host: host) }
    }

    /// Whether a browser's request from this origin may open a WebSocket at this host.
    func allowsOrigin(_ origin: String, _ host: String) -> Bool {
        server.allowedOrigins.isEmpty
            ? Handshake.isSameHost(origin, host: host) : server.allowedOrigins.contains { $0.matches(origin: origin) }
    }

    /// Whether the X-Forwarded-For field of a peer is trusted.
    func isTrustedProxy(_ peer: IPAddress) -> Bool {
        server.trustedProxies.contains { $0.containsOfItsFamily(peer) }
    }

    /// The number of connections for which there is room.
    var capacity: Int { max(connectionCapacity, maximumConnections) }
}

extension Settings.Endpoint {
    fileprivate func isSame(as other: Self) -> Bool {
        path == other.path && `protocol` == other.protocol && Name(channel) == Name(other.channel)
    }
}
