extension Configuration {
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
        /// The file with the keys of those who may send messages; nil is none.
        package var publishKeyFile: KeyFile?
        /// The same for those who may look.
        package var readKeyFile: KeyFile?
        /// The same for those who may do everything.
        package var adminKeyFile: KeyFile?
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
        /// Whether each handshake and each close has a line.
        package var access = AccessLog.off

        /// Whether something is written of what is unremarkable.
        package var wantsEverything: Bool { access != .off || level == .debug || level == .trace }
    }

    /// How much of the access log is written.
    package enum AccessLog: String, Sendable, CaseIterable {
        /// None.
        case off
        /// So many lines a second, and how many more there were.
        case limited
        /// Every line.
        case all
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
