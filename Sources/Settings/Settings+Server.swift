package import Base

extension Settings {
    /// `[server]`: the listeners, and the clients that may connect.
    package struct Server: Sendable, Equatable {
        /// The addresses to listen on unless systemd passes a socket named "wsd"; empty for
        /// none.
        package var listen = [ListenAddress(address: .anyIPv6, port: 8080)]
        /// The addresses to listen on for clients that begin with TLS, unless systemd passes a socket named "wsd-tls".
        package var listenTLS: [ListenAddress] = []
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
        /// Unless this key is set, loopback is exempt.
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
