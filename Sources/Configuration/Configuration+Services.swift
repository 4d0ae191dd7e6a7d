extension Configuration {
    /// `[auth]`: who the clients are. All but `mode` and `leeway` are empty as long as `none` is the only mode.
    package struct Auth: Sendable, Equatable {
        /// How a client shows who it is.
        package var mode = AuthMode.none
        /// The file with the secret of HS256, HS384 and HS512.
        package var hmacSecretFile = ""
        /// PEM files with the public keys of the other algorithms.
        package var publicKeyFiles: [String] = []
        /// A file or an https URL with a JSON Web Key Set.
        package var jwks = ""
        /// The issuer that a token must have; empty is any.
        package var issuer = ""
        /// The audience that a token must have; empty is any.
        package var audience = ""
        /// How far the clocks may be apart.
        package var leeway: Duration = .seconds(30)
        /// The cookie that may carry the token; empty is none.
        package var cookie = ""
    }

    /// How a client shows who it is.
    package enum AuthMode: String, Sendable, CaseIterable {
        /// Not at all.
        case none
    }

    /// `[control]`: the sockets that wsctl(1) talks to.
    package struct Control: Sendable, Equatable {
        /// Full control, unless systemd passes a socket named "control"; an absolute path, or empty for no such socket.
        package var path = "/run/wsd/io.wsd.Control"
        /// Reading only, unless systemd passes a socket named "status"; as `path`, and another one.
        package var statusPath = "/run/wsd/io.wsd.Status"
    }

    /// `[api]`: the HTTP API.
    package struct API: Sendable, Equatable {
        /// Where it listens unless systemd passes a socket named "api"; empty is nowhere.
        package var listen = [ListenAddress(address: .v4(0x7F00_0001), port: 8081)]
    }

    /// `[broker]`: what carries messages between nodes.
    package struct Broker: Sendable, Equatable {
        /// The kind of broker.
        package var type = BrokerType.local
        /// Where it is; empty for `local`. May hold a password, so it is never shown.
        package var url = ""
    }

    /// The kinds of broker.
    package enum BrokerType: String, Sendable, CaseIterable {
        /// None: this node is alone.
        case local
    }

    /// `[log]`: the log.
    package struct Log: Sendable, Equatable {
        /// The least important lines that are written.
        package var level = LogLevel.info
    }

    /// How important a line of the log is, least first; the names are those of swift-log.
    package enum LogLevel: String, Sendable, CaseIterable {
        /// Every frame.
        case trace
        /// What a developer wants to see.
        case debug
        /// What an administrator wants to see.
        case info
        /// What is worth noticing.
        case notice
        /// What may become an error.
        case warning
        /// What failed.
        case error
        /// What ends the service.
        case critical
    }
}
