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
    }

    private mutating func checkBroker() {
        let broker = configuration.broker
        guard broker.type != .local else {
            // An administrator who sets one of these keys believes that the nodes share their channels.
            let given = [
                ("url", broker.url != nil), ("urls", !broker.urls.isEmpty),
                ("password_file", broker.passwordFile != nil),
                ("sentinel_password_file", broker.sentinelPasswordFile != nil),
                ("ca_file", broker.authorityFile != nil), ("node_name", !broker.nodeName.isEmpty),
            ]
            for (key, isGiven) in given where isGiven {
                report(
                    "broker.\(key): this node is alone, so it has no effect; set broker.type = \"redis\", or leave it out",
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
                "broker.type: \"\(broker.type.rawValue)\" needs broker.url, such as \"redis://10.0.0.5:6379\"",
                about: ["broker.type"])
            return
        }
        let key = broker.url == nil ? "broker.urls" : "broker.url"
        checkBrokers(broker.urls)
        if url.password != nil, broker.passwordFile != nil {
            report(
                "broker.password_file: \(key) has a password, too; leave one of them out",
                about: ["broker.password_file", key])
        }
        if url.user != nil, url.password == nil, broker.passwordFile == nil {
            report(
                "\(key): it names a user and no password; give broker.password_file, or leave the user out",
                about: [key])
        }
        if broker.authorityFile != nil, !url.scheme.usesTLS {
            report(
                "broker.ca_file: the connection to \(url) has no TLS; write rediss\(url.scheme.rawValue.dropFirst(5))://, "
                    + "or leave it out",
                about: ["broker.ca_file", key])
        }
        if broker.sentinelPasswordFile != nil, !url.scheme.isSentinel {
            report(
                "broker.sentinel_password_file: \(url) has no Sentinels; write redis+sentinel://, or leave it out",
                about: ["broker.sentinel_password_file", key])
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
