package import Base

extension Configuration {
    /// `[server]`: the listeners, and the clients that may connect.
    package struct Server: Sendable, Equatable {
        /// The addresses to listen on unless systemd passes a socket named "wsd"; never empty.
        package var listen = [ListenAddress(address: .anyIPv6, port: 8080)]
        /// The number of worker threads, 0...64; 0 means one per CPU that the process may use.
        package var workers = 0
        /// How long a message may wait for others of its channel, to be sent in one packet with them; zero for not at
        /// all.
        package var flushDelay: Duration = .zero
        /// Whether messages are sent through io_uring(7).
        package var ioUring = IOUring.auto
        /// The maximum number of concurrent connections, at least 1; further ones get 503 with Retry-After.
        package var maxConnections = 100_000
        /// The maximum number of concurrent connections from one address; further ones get 429. 0 means no limit.
        /// Unless this key is set, loopback is exempt: ``LoadedConfiguration/exemptsLoopback``.
        package var maxConnectionsPerIP = 1000
        /// The maximum time from accept to the end of the request's header.
        package var handshakeTimeout: Duration = .seconds(10)
        /// The maximum size of a request header, including the request line.
        package var maxHeaderByteCount = 16 * 1024
        /// The hosts that requests may name; empty for any.
        package var allowedHosts: [HostPattern] = []
        /// The origins of the pages that may connect; empty for pages from the same host only.
        package var allowedOrigins: [OriginPattern] = []
        /// The proxies whose X-Forwarded-For header is trusted; a network of IPv6, such as `::/0`, says nothing about
        /// IPv4.
        package var trustedProxies: [IPNetwork] = []
    }

    /// Whether messages are sent through io_uring(7).
    package enum IOUring: String, Sendable, CaseIterable {
        /// If the kernel allows it.
        case auto
        /// Never; messages are sent with send(2).
        case off
    }
}

extension Configuration {
    /// One `[[endpoint]]`: a path that clients connect to.
    package struct Endpoint: Sendable, Equatable {
        /// The path of the request, compared byte for byte, without the query.
        package var path: String
        /// The protocol of its clients.
        package var `protocol` = EndpointProtocol.relay
        /// The channel that its clients are in from the start, valid by `ChannelName.isValid`; or empty for none, if
        /// the protocol lets clients join channels.
        package var channel = "lobby"

        /// An endpoint, with the defaults of wsd.toml(5) for everything that is not given.
        package init(path: String, protocol: EndpointProtocol = .relay, channel: String = "lobby") {
            self.path = path
            self.protocol = `protocol`
            self.channel = channel
        }
    }

    /// The protocol of an endpoint's clients.
    package enum EndpointProtocol: String, Sendable, CaseIterable {
        /// Every message goes unchanged to everyone in the channel, the sender included.
        case relay
        /// Each message is a request; see wsd-protocol(7).
        case json
    }
}

extension Configuration {
    /// One `[channels."PATTERN"]`: the settings of the channels that match its pattern and no earlier one.
    package struct Channel: Sendable, Equatable {
        /// The pattern of names; `*` stands for any run of characters.
        package var pattern: String
        /// Whether members may ask for the users in the channel.
        package var presence = false
        /// Whether members are notified when a user joins or leaves.
        package var joinLeave = false
        /// How long a user whose connection broke still counts as present.
        package var leaveDelay: Duration = .seconds(2)
        /// The number of messages that are kept; 0 for none.
        package var history = 0
        /// How long messages are kept.
        package var historyTTL: Duration = .seconds(300)
        /// The maximum memory for the channel's history.
        package var historyByteCount = 1024 * 1024
        /// The clients that may publish.
        package var publish = ChannelAccess.anyone
        /// The clients that may join.
        package var subscribe = ChannelAccess.anyone
        /// The maximum number of connections in the channel; 0 for no limit.
        package var maxMembers = 0
        /// Whether senders also get their own messages.
        package var echo = true

        /// The default settings of wsd.toml(5).
        package init(pattern: String) { self.pattern = pattern }
    }

    /// The clients that may do something in a channel.
    package enum ChannelAccess: String, Sendable, CaseIterable {
        /// Every client.
        case anyone
        /// Clients that have a token.
        case users
        /// Clients whose token grants it.
        case granted
        /// No client.
        case nobody
    }
}
