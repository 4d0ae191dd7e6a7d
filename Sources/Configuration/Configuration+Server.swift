extension Configuration {
    /// `[server]`: the listeners, and who may connect.
    package struct Server: Sendable, Equatable {
        /// Where to listen unless systemd passes a socket named "wsd"; never empty.
        package var listen = [ListenAddress(address: .v6(0), port: 8080)]
        /// Worker threads, 0...64; 0 is one per CPU that the process may use.
        package var workers = 0
        /// How long a message may wait for others of its channel, to leave in one packet with them; zero is not at all.
        package var flushDelay: Duration = .zero
        /// Whether messages are handed to the kernel through io_uring(7).
        package var ioUring = IOUring.auto
        /// Connections at the same time, 1 or more; one more gets 503 with Retry-After.
        package var maxConnections = 100_000
        /// Connections from one address at the same time; one more gets 429. 0 is no limit. As long as nobody has given it,
        /// loopback is exempt: ``LoadedConfiguration/exemptsLoopback``.
        package var maxConnectionsPerIP = 1000
        /// From accept to the end of the request's header.
        package var handshakeTimeout: Duration = .seconds(10)
        /// The largest request header, request line included.
        package var maxHeaderByteCount = 16 * 1024
        /// The hosts that requests may name; empty is any.
        package var allowedHosts: [HostPattern] = []
        /// Which pages may connect; empty is those from the same host only.
        package var allowedOrigins: [OriginPattern] = []
        /// The proxies whose X-Forwarded-For is believed.
        package var trustedProxies: [CIDR] = []
    }

    /// Whether messages are handed to the kernel through io_uring(7).
    package enum IOUring: String, Sendable, CaseIterable {
        /// Where the kernel allows it.
        case auto
        /// Never; send(2) does it.
        case off
    }
}
