import Settings

extension ConfigurationDecoder {
    /// Reports consumers whose keys don't agree with each other or with the broker.
    mutating func checkConsumers() {
        let consumers = configuration.consumers
        for (index, consumer) in consumers.enumerated() {
            let name = "consume[\(index)]"
            checkURL(consumer, name)
            checkSource(consumer, name)
            checkNames(consumer, name)
            if !consumer.channel.isEmpty, origins["\(name).channel_field"] != nil {
                report(
                    "consume.channel_field: every record goes to consume.channel, \(quoted(consumer.channel)); "
                        + "leave one of them out",
                    about: ["\(name).channel_field", "\(name).channel"])
            }
            if consumer.deadLetter == consumer.stream, !consumer.deadLetter.isEmpty {
                report(
                    "consume.dead_letter: \(quoted(consumer.deadLetter)) is the stream itself, where they would be read "
                        + "again; take another one",
                    about: ["\(name).dead_letter", "\(name).stream"])
            }
            let isSame: (Settings.Consume) -> Bool = {
                $0.url?.text == consumer.url?.text && $0.stream == consumer.stream && $0.group == consumer.group
            }
            if !consumer.stream.isEmpty, let first = consumers[..<index].firstIndex(where: isSame) {
                let place = origins["consume[\(first)].stream"].map { " (\($0))" } ?? ""
                report(
                    "consume.group: \(quoted(consumer.group)) reads \(quoted(consumer.stream)) already\(place); "
                        + "take another group, or leave this table out",
                    about: ["\(name).group", "\(name).stream"])
            }
        }
    }

    /// Reports keys that the kind of source does not have.
    private mutating func checkSource(_ consumer: Settings.Consume, _ name: String) {
        let source = consumer.source.rawValue
        if consumer.source != .redisStream, !consumer.deadLetter.isEmpty {
            let instead =
                switch consumer.source {
                case .rabbitmqQueue: "a queue has its own, by x-dead-letter-exchange"
                case .natsStream: "a stream of NATS has none, and its server reports such a record as terminated"
                case .kafkaTopic, .redisStream: "a topic has none, and the log says which record was not published"
                }
            report(
                "consume.dead_letter: \(instead); leave it out", about: ["\(name).dead_letter", "\(name).source"])
        }
        for (key, isGiven, kind) in [
            ("exchange", !consumer.exchange.isEmpty, Settings.ConsumeSource.rabbitmqQueue),
            ("binding", !consumer.binding.isEmpty, .rabbitmqQueue), ("subject", !consumer.subject.isEmpty, .natsStream),
            ("credentials_file", consumer.credentialsFile != nil, .natsStream),
        ] where isGiven && consumer.source != kind {
            report(
                "consume.\(key): a \(source) has none; leave it out", about: ["\(name).\(key)", "\(name).source"])
        }
        if consumer.source == .rabbitmqQueue, !consumer.binding.isEmpty, consumer.exchange.isEmpty {
            report(
                "consume.binding: \(quoted(consumer.binding)) needs consume.exchange, the exchange that the queue is bound to",
                about: ["\(name).binding"])
        }
        if consumer.source == .rabbitmqQueue, origins["\(name).group"] != nil {
            report(
                "consume.group: a queue has no groups, and gives each record out once; leave it out",
                about: ["\(name).group", "\(name).source"])
        }
    }

    /// Reports names that NATS does not have.
    private mutating func checkNames(_ consumer: Settings.Consume, _ name: String) {
        guard consumer.source == .natsStream else { return }
        for (key, text) in [("stream", consumer.stream), ("group", consumer.group)]
        where text.contains(where: { ".*>/\\ ".contains($0) }) {
            let wayOut = key == "stream" ? "; the subjects that are read are consume.subject" : ""
            report(
                "consume.\(key): NATS has no name such as \(quoted(text)), with any of . * > / \\ or a space; "
                    + "give another one\(wayOut)",
                about: ["\(name).\(key)"])
        }
        let parts = consumer.subject.split(separator: ".", omittingEmptySubsequences: false)
        let isSubject = parts.indices.allSatisfy { index in
            let part = parts[index]
            if part == "*" || part == ">" { return part == "*" || index == parts.count - 1 }
            return !part.isEmpty && !part.contains { "*> ".contains($0) }
        }
        if !consumer.subject.isEmpty, !isSubject {
            report(
                "consume.subject: \(quoted(consumer.subject)) is no subject of NATS; give words with dots between them, "
                    + "such as \"orders.*\" or \"orders.>\"",
                about: ["\(name).subject"])
        }
    }

    private mutating func checkURL(_ consumer: Settings.Consume, _ name: String) {
        guard let url = consumer.url else {
            for (key, isGiven) in [
                ("password_file", consumer.passwordFile != nil), ("ca_file", consumer.authorityFile != nil),
                ("credentials_file", consumer.source == .natsStream && consumer.credentialsFile != nil),
            ] where isGiven {
                report(
                    "consume.\(key): without consume.url, broker.\(key) is used; give the URL, or leave it out",
                    about: ["\(name).\(key)"])
            }
            let broker = configuration.broker
            // Several servers of NATS are one cluster.
            if broker.type == .nats, consumer.source == .natsStream, !broker.urls.isEmpty { return }
            guard broker.type == consumer.source.type, broker.urls.isEmpty, let url = broker.url else {
                let title = consumer.source.type.title
                report(
                    "consume.url: without it the source is at broker.url, and that names no server of \(title); "
                        + "give one, such as url = \(Self.exampleURL(consumer.source.type))",
                    about: [name, "\(name).url", "broker.url", "broker.type"])
                return
            }
            if url.scheme.isCluster { reportCluster(url, [name]) }
            return
        }
        let path = "\(name).url"
        guard url.scheme.type == consumer.source.type else {
            report(
                "consume.url: \(url) is no server of \(consumer.source.type.title), where a \(consumer.source.rawValue) is; "
                    + "give one, such as \(Self.exampleURL(consumer.source.type))",
                about: [path, "\(name).source"])
            return
        }
        if url.scheme.isCluster { return reportCluster(url, [path]) }
        if url.password != nil, consumer.passwordFile != nil {
            report(
                "consume.password_file: consume.url has a password, too; leave one of them out",
                about: ["\(name).password_file", path])
        }
        if consumer.source == .natsStream, consumer.credentialsFile != nil {
            for (key, isGiven) in [
                ("url", url.user != nil || url.password != nil), ("password_file", consumer.passwordFile != nil),
            ] where isGiven {
                report(
                    "consume.credentials_file: consume.\(key) says who this is, too; leave one of them out",
                    about: ["\(name).credentials_file", "\(name).\(key)"])
            }
        }
        // A user of NATS alone is a token.
        if consumer.source != .natsStream, url.user != nil, url.password == nil, consumer.passwordFile == nil {
            report(
                "consume.url: it names a user and no password; give consume.password_file, or leave the user out",
                about: [path])
        }
        if consumer.authorityFile != nil, !url.scheme.usesTLS {
            report(
                "consume.ca_file: the connection to \(url) has no TLS; write \(url.scheme.withTLS.rawValue)://, or leave it out",
                about: ["\(name).ca_file", path])
        }
    }

    private mutating func reportCluster(_ url: BrokerURL, _ paths: [String]) {
        report(
            "consume.url: a stream is read from a single Redis server or the master that Sentinels know, not from \(url); "
                + "give redis://, rediss://, unix:// or redis+sentinel://",
            about: paths)
    }
}
