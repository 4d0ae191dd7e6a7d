package import Base
package import Broker
package import Channels

/// The configuration of the data plane. The composing program makes it from its configuration file.
package struct EngineConfiguration: Sendable {
    /// The policy for a connection whose queue is over its limit.
    package enum QueuePolicy: UInt8, Sendable, CaseIterable {
        case disconnect, dropOldest, dropNewest

        /// The name in the configuration and the metrics.
        package var label: String {
            switch self {
            case .disconnect: "disconnect"
            case .dropOldest: "drop-oldest"
            case .dropNewest: "drop-newest"
            }
        }
    }

    /// A path at which clients open WebSockets.
    package struct Endpoint: Sendable {
        package var path: String
        package var clientProtocol: ClientProtocol
        /// The channel that the endpoint's clients are in; empty for none, which only protocols with requests allow.
        package var channel: String
        /// Whether the endpoint is closed to new clients; its present clients stay.
        var isRetired = false

        package init(path: String, clientProtocol: ClientProtocol, channel: String) {
            self.path = path
            self.clientProtocol = clientProtocol
            self.channel = channel
        }
    }

    package var workerCount = 1
    /// The time that a message may wait for others of its channel, to be sent with them in one call; `.zero`: until the
    /// end of the turn that it came in.
    package var flushDelay: Duration = .zero
    /// Whether a fan-out uses io_uring(7) if the kernel has it.
    package var usesSendRing = true
    package var maximumConnections = 100_000
    /// The value up to which `maximumConnections` can be raised while the workers run; at least `maximumConnections`
    /// itself.
    package var connectionCapacity = 0
    /// The maximum number of connections of one address; 0: no limit.
    package var maximumConnectionsPerAddress = 0
    /// Whether connections from loopback don't count towards `maximumConnectionsPerAddress`.
    package var exemptsLoopback = false
    package var handshakeTimeout: Duration = .seconds(10)
    package var maximumHeaderByteCount = 16 * 1024
    package var maximumMessageByteCount = 1024 * 1024
    /// Whether permessage-deflate is accepted from a client that offers it.
    package var compression = true
    /// zlib's compression level, 1 (fastest) to 9 (smallest).
    package var compressionLevel = 1
    /// The size in bytes from which messages are compressed.
    package var compressionThreshold = 256
    /// The time without input after which a ping is sent; `.zero`: no pings.
    package var pingInterval: Duration = .seconds(25)
    package var pongTimeout: Duration = .seconds(10)
    package var closeTimeout: Duration = .seconds(5)
    /// The maximum time from a message's first byte to its last; `.zero`: no limit.
    package var messageTimeout: Duration = .zero
    /// The number of bytes that may wait for one connection. A single message may always wait, however large it is.
    package var queueLimitByteCount = 1024 * 1024
    package var queuePolicy = QueuePolicy.disconnect
    package var writeTimeout: Duration = .seconds(10)
    /// The number of messages that a connection may send per second; 0: no limit.
    package var messagesPerSecond = 0
    package var messageBurst = 0
    /// The number of channels that a `json` client may be in at the same time; 0: no limit.
    package var maximumChannels = 128
    /// The number of a `json` client's requests that may fail in a minute; 0: no limit.
    package var errorsPerMinute = 60
    /// The maximum size of the history of all channels, in bytes.
    package var historyByteCount = 64 * 1024 * 1024
    /// The maximum memory held for clients, in bytes; 0: no limit.
    package var memoryByteCount = 0
    package var channelRules = ChannelRules([])
    /// Verifies a token and returns its bearer's identity or a refusal; nil if clients need no token.
    package var verifyToken: (@Sendable (String) async -> Result<Identity, TokenRefusal>)?
    /// The name of a cookie that may carry the token; empty for none.
    package var tokenCookie = ""
    /// The time that a client may stay after its token has expired: a client that can be asked for a new token, and one
    /// that can't.
    package var refreshGrace: Duration = .seconds(30)
    package var tokenLeeway: Duration = .seconds(30)
    /// The broker that shares the channels between nodes, and this node's identity there; nil if this node is alone.
    package var broker: (any Broker)?
    package var node: NodeID?
    /// The number of bytes that may wait for the broker, and for how long.
    package var brokerQueueByteCount = 16 * 1024 * 1024
    package var brokerQueueTimeout: Duration = .seconds(10)
    package var endpoints: [Endpoint] = []
    /// The pages by path.
    package var pages: [String: Page] = [:]
    /// Whether a request may name this host in its `Host` field.
    package var allowsHost: @Sendable (_ host: String) -> Bool = { _ in true }
    /// Whether a browser's request from this origin may open a WebSocket at this host.
    package var allowsOrigin: @Sendable (_ origin: String, _ host: String) -> Bool = { _, _ in true }
    /// The peers whose X-Forwarded-For field is trusted; a network of IPv6 says nothing about IPv4.
    package var trustedProxies: [IPNetwork] = []

    /// The number of this configuration in the order in which the workers get them, from 1 on.
    private(set) var generation: UInt32 = 1

    package init() {}

    /// This configuration as the successor of a running one: settings that can't change while the workers run keep
    /// their values, and endpoints keep their index in the list, because connections refer to it.
    func succeeding(_ running: EngineConfiguration) -> EngineConfiguration {
        var next = self
        next.generation = running.generation + 1
        next.workerCount = running.workerCount
        next.usesSendRing = running.usesSendRing
        next.broker = running.broker
        next.node = running.node
        next.connectionCapacity = running.capacity
        next.maximumConnections = min(maximumConnections, running.capacity)
        next.endpoints = running.endpoints.map {
            var known = $0
            known.isRetired = true
            return known
        }
        for endpoint in endpoints {
            if let known = next.endpoints.firstIndex(where: { $0.isSame(as: endpoint) }) {
                next.endpoints[known].isRetired = false
            } else {
                next.endpoints.append(endpoint)
            }
        }
        return next
    }

    /// Whether the X-Forwarded-For field of a peer is trusted.
    func isTrustedProxy(_ peer: IPAddress) -> Bool { trustedProxies.contains { $0.containsOfItsFamily(peer) } }

    /// The number of connections for which there is room.
    var capacity: Int { max(connectionCapacity, maximumConnections) }
}

extension EngineConfiguration.Endpoint {
    fileprivate func isSame(as other: Self) -> Bool {
        path == other.path && clientProtocol == other.clientProtocol && Name(channel) == Name(other.channel)
    }
}
