import Settings

extension ConfigurationDecoder {
    /// Reports values that are valid on their own but not together, after everything has been applied.
    mutating func checkAgreement() {
        // The missing value may be in the file that could not be read.
        guard !isIncomplete else { return }
        settleDrain()
        let drain = configuration.drain
        if drain.period > drain.timeout {
            report(
                "drain.period: \(quoted(DurationText.text(drain.period))) is longer than drain.timeout, "
                    + "\(quoted(DurationText.text(drain.timeout))); shorten it, or lengthen that",
                about: ["drain.period", "drain.timeout"])
        }
        let control = configuration.control
        if control.path == control.statusPath, !control.path.isEmpty {
            report(
                "control.status_path: \(quoted(control.statusPath)) is control.path, too; the one only reads, "
                    + "the other may do everything, so take two paths",
                about: ["control.status_path", "control.path"])
        }
        checkListeners()
        checkEndpoints()
        checkAuth()
        checkBroker()
        checkConsumers()
    }

    private mutating func checkBroker() {
        let broker = configuration.broker
        guard broker.type != .local else {
            // An administrator who sets one of these keys believes that the nodes share their channels.
            let given = [
                ("url", broker.url != nil), ("urls", !broker.urls.isEmpty),
                ("password_file", broker.passwordFile != nil),
                ("sentinel_password_file", broker.sentinelPasswordFile != nil),
                ("credentials_file", broker.credentialsFile != nil),
                ("ca_file", broker.authorityFile != nil), ("node_name", !broker.nodeName.isEmpty),
            ]
            for (key, isGiven) in given where isGiven {
                report(
                    "broker.\(key): this node is alone, so it has no effect; set broker.type, or leave it out",
                    about: ["broker.\(key)", "broker.type"])
            }
            return
        }
        if broker.url != nil, !broker.urls.isEmpty {
            report(
                "broker.urls: broker.url says where the broker is, too; leave one of them out",
                about: ["broker.urls", "broker.url"])
            return
        }
        guard let url = broker.url ?? broker.urls.first else {
            guard !unclear.contains("broker.url"), !unclear.contains("broker.urls") else { return }
            report(
                "broker.type: \"\(broker.type.rawValue)\" needs broker.url, such as "
                    + Self.exampleURL(broker.type),
                about: ["broker.type"])
            return
        }
        let key = broker.url == nil ? "broker.urls" : "broker.url"
        checkBrokers(broker.urls)
        checkSharedHistories()
        if let other = ([url] + broker.urls).first(where: { $0.scheme.type != broker.type }) {
            report(
                "\(key): \(other) is for broker.type = \"\(other.scheme.type.rawValue)\"; set that, or another URL",
                about: [key, "broker.type"])
            return
        }
        checkNATS(url, key)
        checkLog()
        if url.password != nil, broker.passwordFile != nil {
            report(
                "broker.password_file: \(key) has a password, too; leave one of them out",
                about: ["broker.password_file", key])
        }
        if url.user != nil, url.password == nil, broker.passwordFile == nil, broker.type != .nats {
            report(
                "\(key): it names a user and no password; give broker.password_file, or leave the user out",
                about: [key])
        }
        if broker.authorityFile != nil, !url.scheme.usesTLS {
            report(
                "broker.ca_file: the connection to \(url) has no TLS; write \(url.scheme.withTLS.rawValue)://, "
                    + "or leave it out",
                about: ["broker.ca_file", key])
        }
        if broker.sentinelPasswordFile != nil, !url.scheme.isSentinel {
            report(
                "broker.sentinel_password_file: \(url) has no Sentinels; "
                    + (broker.type == .redis ? "write redis+sentinel://, or leave it out" : "leave it out"),
                about: ["broker.sentinel_password_file", key])
        }
    }

    /// The most that the history of a channel may have at a broker, in bytes: a node reads it at once.
    private static let sharedHistoryByteCount = 64 << 20

    private mutating func checkSharedHistories() {
        for channel in configuration.channels
        where channel.settings.history > 0 && channel.settings.historyByteCount > Self.sharedHistoryByteCount {
            let key = "channels.\(quoted(channel.pattern)).history_bytes"
            let most = ByteCountText.text(Self.sharedHistoryByteCount)
            report(
                "\(key): \(ByteCountText.text(channel.settings.historyByteCount)) is too much to be kept by a broker, as "
                    + "nodes read a channel's history at once; give \(most) at most",
                about: [key, "broker.type"])
        }
    }

    static func exampleURL(_ type: Settings.BrokerType) -> String {
        switch type {
        case .local, .redis: "\"redis://10.0.0.5:6379\""
        case .nats: "\"nats://10.0.0.5:4222\""
        case .kafka: "\"kafka://10.0.0.5:9092\""
        case .rabbitmq: "\"amqp://10.0.0.5:5672\""
        }
    }

    /// Reports the keys of `[broker]` that are given, though the kind of broker does not have them.
    private mutating func report(_ keys: [(name: String, isGiven: Bool)], _ reason: String) {
        for (name, isGiven) in keys where isGiven {
            report("broker.\(name): \(reason), or leave it out", about: ["broker.\(name)", "broker.type"])
        }
    }

    /// Checks what only Kafka and RabbitMQ know.
    private mutating func checkLog() {
        let broker = configuration.broker
        let usual = Settings().broker
        if broker.type != .kafka {
            report(
                [
                    ("kafka_replicas", broker.kafkaReplicas != usual.kafkaReplicas),
                    ("kafka_properties", broker.kafkaProperties != usual.kafkaProperties),
                    ("sasl_mechanism", broker.saslMechanism != usual.saslMechanism),
                ], "only Kafka has it; set broker.type = \"kafka\"")
        }
        guard broker.type.isLog else {
            report(
                [
                    ("partitions", broker.partitions != usual.partitions),
                    ("retention", broker.retention != usual.retention),
                    ("history_limit", broker.historyLimitByteCount != usual.historyLimitByteCount),
                    ("certificate_file", broker.certificateFile != nil), ("key_file", broker.keyFile != nil),
                ], "only Kafka and RabbitMQ have it; set broker.type to \"kafka\" or \"rabbitmq\"")
            return
        }
        if (broker.certificateFile == nil) != (broker.keyFile == nil) {
            let (given, missing) =
                broker.keyFile == nil ? ("certificate_file", "key_file") : ("key_file", "certificate_file")
            report(
                "broker.\(given): broker.\(missing) is not there, and one is of no use without the other; give both",
                about: ["broker.\(given)"])
        }
        if !broker.urls.isEmpty {
            report(
                "broker.urls: several servers of \(broker.type.title) are in one URL, "
                    + "\(broker.type == .kafka ? "kafka" : "amqp")://HOST,HOST; write broker.url",
                about: ["broker.urls"])
        }
        for channel in configuration.channels
        where channel.settings.history > 0 && channel.settings.historyTTL > broker.retention {
            let key = "channels.\(quoted(channel.pattern)).history_ttl"
            report(
                "\(key): \(broker.type.title) keeps messages for broker.retention = "
                    + "\"\(DurationText.text(broker.retention))\" only; raise that, or give a shorter time",
                about: [key, "broker.retention"])
        }
    }

    /// Checks what only NATS knows.
    private mutating func checkNATS(_ url: BrokerURL, _ key: String) {
        let broker = configuration.broker
        guard broker.type == .nats else {
            let usual = Settings().broker
            report(
                [
                    ("credentials_file", broker.credentialsFile != nil),
                    ("nats_replicas", broker.natsReplicas != usual.natsReplicas),
                    ("nats_storage", broker.natsStorage != usual.natsStorage),
                ], "only NATS has it; set broker.type = \"nats\"")
            return
        }
        guard broker.credentialsFile != nil else { return }
        if url.user != nil || url.password != nil {
            report(
                "broker.credentials_file: \(key) says who this is, too; leave one of them out",
                about: ["broker.credentials_file", key])
        }
        if broker.passwordFile != nil {
            report(
                "broker.credentials_file: broker.password_file is there, too; leave one of them out",
                about: ["broker.credentials_file", "broker.password_file"])
        }
    }

    /// Checks the URLs of several independent servers. One login and one way to connect are used for all of them.
    private mutating func checkBrokers(_ urls: [BrokerURL]) {
        guard let first = urls.first else { return }
        for url in urls where url.scheme.isSentinel || url.scheme.isCluster {
            report("broker.urls: \(url) is more than one server; write it as broker.url", about: ["broker.urls"])
        }
        for (place, url) in urls.enumerated()
        where urls[..<place].contains(where: { $0.description == url.description }) {
            report("broker.urls: \(url) is there twice; leave one out", about: ["broker.urls"])
        }
        let isOther: (BrokerURL) -> Bool = { url in
            url.user != first.user || url.password != first.password || url.database != first.database
                || url.scheme.usesTLS != first.scheme.usesTLS
        }
        if let other = urls.first(where: isOther) {
            report(
                "broker.urls: \(other) differs from \(first) in the user, the password, the database or TLS; "
                    + "set up the servers alike",
                about: ["broker.urls"])
        }
    }

    /// Adjusts the other time of a drain if only one of the two is set: a default gives way to a value that was set.
    private mutating func settleDrain() {
        let drain = configuration.drain
        guard drain.period > drain.timeout else { return }
        if origins["drain.period"] == nil {
            adjust(\.drain.period, to: drain.timeout)
        } else if origins["drain.timeout"] == nil {
            adjust(\.drain.timeout, to: drain.period + .seconds(10))
        }
    }

    private mutating func checkListeners() {
        checkTLS()
        // The default gives way to any other listener that needs its port.
        guard origins["api.listen"] != nil else { return }
        // Port 0 is a different port each time.
        let both = configuration.api.listen.filter { $0.port != 0 && configuration.server.listen.contains($0) }
        for address in both {
            report(
                "api.listen: \(quoted(address.description)) is in server.listen, too; take another port for one of them",
                about: ["api.listen", "server.listen"])
        }
    }

    private mutating func checkEndpoints() {
        let endpoints = configuration.endpoints
        for (index, endpoint) in endpoints.enumerated() where !endpoint.path.isEmpty {
            guard let first = endpoints[..<index].firstIndex(where: { $0.path == endpoint.path }) else { continue }
            let place = origins["endpoint[\(first)].path"].map { " (\($0))" } ?? ""
            report(
                "endpoint.path: \(quoted(endpoint.path)) has an endpoint already\(place); take another path",
                about: ["endpoint[\(index)].path"])
        }
        for (index, endpoint) in endpoints.enumerated() where endpoint.channel.isEmpty && endpoint.protocol == .relay {
            report(
                "endpoint.channel: \"\" leaves clients of the relay protocol without a channel, and they can join none; "
                    + "name one, or take protocol = \"json\"",
                about: ["endpoint[\(index)].channel", "endpoint[\(index)].protocol"])
        }
    }

    private mutating func checkAuth() {
        let auth = configuration.auth
        let keys = ["auth.hmac_secret_file", "auth.public_key_files", "auth.jwks"]
        let hasKey = auth.hmacSecretFile != nil || !auth.publicKeyFiles.isEmpty || auth.jwks != nil
        switch auth.mode {
        case .jwt where !hasKey:
            // A key that is invalid has an error of its own already.
            guard unclear.isDisjoint(with: keys) else { return }
            report(
                "auth.mode: \"jwt\" needs a key to check tokens with; give one or more of \(keys[0]), \(keys[1]) and "
                    + "\(keys[2])",
                about: ["auth.mode"])
        case .jwt: break
        case .none:
            // An administrator who sets one of these keys believes that clients are authenticated, but they are not.
            let given = [
                auth.hmacSecretFile != nil, !auth.publicKeyFiles.isEmpty, auth.jwks != nil, !auth.issuer.isEmpty,
                !auth.audience.isEmpty, auth.requireExpiry, !auth.cookie.isEmpty,
            ]
            let others = ["auth.issuer", "auth.audience", "auth.require_exp", "auth.cookie"]
            for (key, isGiven) in zip(keys + others, given) where isGiven {
                report(
                    "\(key): nobody is asked for a token, so it has no effect; set auth.mode = \"jwt\", or leave it out",
                    about: [key, "auth.mode"])
            }
        }
    }
}
