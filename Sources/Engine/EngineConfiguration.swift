package import Rooms

/// What the data plane has to know. The composing program makes it from its configuration file.
package struct EngineConfiguration: Sendable {
    /// What happens to a connection whose queue is over its limit.
    package enum QueuePolicy: UInt8, Sendable, CaseIterable {
        case disconnect, dropOldest, dropNewest

        /// As the configuration and the metrics have it.
        package var label: String {
            switch self {
            case .disconnect: "disconnect"
            case .dropOldest: "drop-oldest"
            case .dropNewest: "drop-newest"
            }
        }
    }

    /// What a path opens.
    package struct Endpoint: Sendable {
        package enum MessageProtocol: String, Sendable {
            /// Every message goes, as it came, to everyone in the channel, the sender too.
            case relay
            /// Each message is a request; see wsd-protocol(7).
            case json
        }

        package var path: String
        package var messageProtocol: MessageProtocol
        /// The channel that its clients are in; empty for none, which only `json` allows.
        package var channel: String
        /// Whether new clients don't find it any more; those on it stay.
        var isRetired = false

        package init(path: String, messageProtocol: MessageProtocol, channel: String) {
            self.path = path
            self.messageProtocol = messageProtocol
            self.channel = channel
        }
    }

    package var workerCount = 1
    /// How long a message may wait for others of its channel, to leave with them in one send; `.zero`: to the end of the
    /// turn that it came in.
    package var flushDelay: Duration = .zero
    /// Whether a fan-out goes through io_uring(7) where the kernel has it.
    package var usesSendRing = true
    package var maximumConnections = 100_000
    /// As far as `maximumConnections` can ever be raised while the workers run; at least that much.
    package var connectionCapacity = 0
    /// 0: no limit.
    package var maximumConnectionsPerAddress = 0
    /// Whether connections from loopback don't count towards `maximumConnectionsPerAddress`.
    package var exemptsLoopback = false
    package var handshakeTimeout: Duration = .seconds(10)
    package var maximumHeaderByteCount = 16 * 1024
    package var maximumMessageByteCount = 1024 * 1024
    /// Whether permessage-deflate is agreed to where a client offers it.
    package var compression = true
    /// zlib's, 1 (fastest) to 9 (smallest).
    package var compressionLevel = 1
    /// Smaller messages are sent plain.
    package var compressionThreshold = 256
    /// `.zero`: no pings.
    package var pingInterval: Duration = .seconds(25)
    package var pongTimeout: Duration = .seconds(10)
    package var closeTimeout: Duration = .seconds(5)
    /// From a message's first byte to its last; `.zero`: no limit.
    package var messageTimeout: Duration = .zero
    /// What may wait for one connection. One message may always wait alone, however large it is.
    package var queueLimitByteCount = 1024 * 1024
    package var queuePolicy = QueuePolicy.disconnect
    package var writeTimeout: Duration = .seconds(10)
    /// 0: no limit.
    package var messagesPerSecond = 0
    package var messageBurst = 0
    /// Channels that a `json` client may be in at the same time; 0: no limit.
    package var maximumChannels = 128
    /// Requests of a `json` client that may fail in a minute; 0: no limit.
    package var errorsPerMinute = 60
    /// What the history of all channels may cost.
    package var historyByteCount = 64 * 1024 * 1024
    /// What everything that is held for clients may take; 0: no limit.
    package var memoryByteCount = 0
    package var channelRules = ChannelRules([])
    /// Who a token says its bearer is; nil where nobody needs one.
    package var verifyToken: (@Sendable (String) async -> Result<Identity, TokenRefusal>)?
    /// A cookie that may carry the token; empty for none.
    package var tokenCookie = ""
    /// How long a client may stay after its token has expired: one that can be asked for a newer one, and one that can't.
    package var refreshGrace: Duration = .seconds(30)
    package var tokenLeeway: Duration = .seconds(30)
    package var endpoints: [Endpoint] = []
    /// By path.
    package var pages: [String: Page] = [:]
    /// Whether a request may name this host in its `Host` field.
    package var allowsHost: @Sendable (_ host: String) -> Bool = { _ in true }
    /// Whether a browser's request from this origin may open a WebSocket at this host.
    package var allowsOrigin: @Sendable (_ origin: String, _ host: String) -> Bool = { _, _ in true }
    /// Whether what this peer says in X-Forwarded-For is believed.
    package var isTrustedProxy: @Sendable (IPAddress) -> Bool = { _ in false }

    /// Counts the configurations that the workers have had, from 1 on.
    private(set) var generation: UInt32 = 1

    package init() {}

    /// The configuration that takes the place of a running one: what can't change while the workers run stays as it is, and
    /// an endpoint keeps its place in the list, which connections know.
    func succeeding(_ running: EngineConfiguration) -> EngineConfiguration {
        var next = self
        next.generation = running.generation + 1
        next.workerCount = running.workerCount
        next.usesSendRing = running.usesSendRing
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

    /// Connections that there is room for.
    var capacity: Int { max(connectionCapacity, maximumConnections) }
}

extension EngineConfiguration.Endpoint {
    fileprivate func isSame(as other: Self) -> Bool {
        path == other.path && messageProtocol == other.messageProtocol && Name(channel) == Name(other.channel)
    }
}
