import Settings

/// Every key of wsd.toml(5), declared once. Reading, printing, suggestions and the check of the manual all use this
/// table; the defaults are those of new `Settings`.
enum Schema {
    static let sections: [SchemaSection] = [
        .table("server", server), .table("tls", tls), .table("websocket", websocket), .table("queue", queue),
        .table("limits", limits),
        .table("drain", drain), .table("restart", restart), .endpoints(endpoint), .channels(channel),
        .table("auth", auth),
        .table("control", control),
        .table("api", api), .table("broker", broker), .consumers(consume), .table("log", log),
    ]

    private static let server: [SchemaKey<Settings>] = [
        SchemaKey(
            "listen", \.server.listen, .array(of: .address, "addresses"), .restart,
            "where to listen, unless systemd passes a socket named \"wsd\""),
        SchemaKey(
            "listen_tls", \.server.listenTLS, .array(of: .address, "addresses"), .restart, example: "[\"[::]:8443\"]",
            "where to listen for TLS, unless systemd passes a socket named \"wsd-tls\""),
        SchemaKey(
            "workers", \.server.workers, .integer(0...64), .restart, example: "4",
            "worker threads; 0 is one per CPU that the process may use"),
        SchemaKey(
            "flush_delay", \.server.flushDelay, .duration(.zero ... .seconds(1)), .live, example: "5ms",
            "how long a message may wait for others of its channel, to leave in one packet with them"),
        SchemaKey(
            "io_uring", \.server.ioUring, .choice(), .restart,
            "whether messages are handed to the kernel through io_uring"),
        SchemaKey(
            "max_connections", \.server.maxConnections, .integer(1...10_000_000), .live,
            "connections at the same time; one more gets 503 with Retry-After"),
        SchemaKey(
            "max_connections_per_ip", \.server.maxConnectionsPerIP, .integer(0...10_000_000), .live, example: "100",
            "connections from one address at the same time; one more gets 429, 0 is no limit"),
        SchemaKey(
            "handshake_timeout", \.server.handshakeTimeout, .duration(.milliseconds(10) ... .seconds(3600)), .live,
            "from accept to the end of the request's header"),
        SchemaKey(
            "max_header_size", \.server.maxHeaderByteCount, .byteCount(1024...1 << 20), .live,
            "the largest request header, request line included"),
        SchemaKey(
            "allowed_hosts", \.server.allowedHosts, .array(of: .host, "hosts"), .live,
            example: "[\"example.org\"]",
            "the hosts that requests may name; none is any"),
        SchemaKey(
            "allowed_origins", \.server.allowedOrigins, .array(of: .origin, "origins"), .live,
            example: "[\"https://example.org\"]",
            "the pages that may connect; none is those from the same host only"),
        SchemaKey(
            "trusted_proxies", \.server.trustedProxies, .array(of: .cidr, "ranges of addresses"), .live,
            example: "[\"10.0.0.0/8\"]",
            "the proxies whose X-Forwarded-For is believed"),
    ]

    private static let websocket: [SchemaKey<Settings>] = [
        SchemaKey(
            "max_message_size", \.websocket.maxMessageByteCount, .byteCount(1...1 << 30), .live,
            "the largest message from a client; beyond it the connection is closed with 1009"),
        SchemaKey(
            "compression", \.websocket.compression, .boolean, .live,
            "permessage-deflate, where the client offers it"),
        SchemaKey(
            "compression_level", \.websocket.compressionLevel, .integer(1...9), .live, example: "6",
            "from 1, the fastest, to 9, the smallest"),
        SchemaKey(
            "compression_threshold", \.websocket.compressionThresholdByteCount, .byteCount(1...1 << 30), .live,
            "smaller messages are sent plain"),
        SchemaKey(
            "ping_interval", \.websocket.pingInterval,
            .duration(.milliseconds(10) ... .seconds(86_400), zero: "never"), .live,
            "the silence after which a client is pinged"),
        SchemaKey(
            "pong_timeout", \.websocket.pongTimeout, .duration(.milliseconds(10) ... .seconds(3600)), .live,
            "how long a pong may take before the connection is closed with 3008"),
        SchemaKey(
            "close_timeout", \.websocket.closeTimeout, .duration(.milliseconds(10) ... .seconds(3600)), .live,
            "how long the closing handshake may take"),
        SchemaKey(
            "message_timeout", \.websocket.messageTimeout,
            .duration(.milliseconds(10) ... .seconds(3600), zero: "no limit"), .live,
            "how long a message from a client may take from its first byte to its last"),
    ]

    private static let queue: [SchemaKey<Settings>] = [
        SchemaKey(
            "limit", \.queue.limitByteCount, .byteCount(4096...1 << 30), .live,
            "the most that waits for one connection"),
        SchemaKey(
            "policy", \.queue.policy, .choice(\.name), .live,
            "what happens beyond the limit"),
        SchemaKey(
            "write_timeout", \.queue.writeTimeout, .duration(.milliseconds(10) ... .seconds(3600)), .live,
            "how long a client may read nothing while something waits for it"),
    ]

    private static let limits: [SchemaKey<Settings>] = [
        SchemaKey(
            "messages_per_second", \.limits.messagesPerSecond, .integer(0...1_000_000), .live, example: "100",
            "messages that a client may send in a second, in the long run; 0 is no limit"),
        SchemaKey(
            "burst", \.limits.burst, .integer(0...1_000_000), .live, example: "200",
            "messages that a client may send at once; 0 is as many as in a second"),
        SchemaKey(
            "channels", \.limits.channels, .integer(0...65_536), .live,
            "channels that a client may be in at the same time; 0 is no limit"),
        SchemaKey(
            "errors_per_minute", \.limits.errorsPerMinute, .integer(0...1_000_000), .live,
            "requests of a client that may fail in a minute; 0 is no limit"),
        SchemaKey(
            "history_bytes", \.limits.historyByteCount, .byteCount(1024...1 << 40), .live,
            "the most that the history of all channels may take"),
        SchemaKey(
            "memory", \.limits.memory, .memoryLimit, .live,
            "the most that everything held for clients may take, or a share of the memory there is"),
    ]

    private static let drain: [SchemaKey<Settings>] = [
        SchemaKey(
            "period", \.drain.period, .duration(.zero ... .seconds(3600)), .live,
            "the time over which the closes are spread when the daemon goes"),
        SchemaKey(
            "timeout", \.drain.timeout, .duration(.zero ... .seconds(3600)), .live,
            "the time after which the daemon goes, whoever is left"),
    ]

    private static let restart: [SchemaKey<Settings>] = [
        SchemaKey(
            "snapshot_interval", \.restart.snapshotInterval,
            .duration(.milliseconds(100) ... .seconds(3600), zero: "never"), .restart,
            "how often the histories are written down, in case the daemon is killed")
    ]

    private static let control: [SchemaKey<Settings>] = [
        SchemaKey(
            "path", \.control.path, .socketPath, .restart,
            "the socket with full control, unless systemd passes one named \"control\""),
        SchemaKey(
            "status_path", \.control.statusPath, .socketPath, .restart,
            "the socket that only reads, unless systemd passes one named \"status\""),
    ]

    private static let api: [SchemaKey<Settings>] = [
        SchemaKey(
            "listen", \.api.listen, .array(of: .address, "addresses"), .restart,
            "where the HTTP API listens, unless systemd passes a socket named \"api\""),
        SchemaKey(
            "listen_tls", \.api.listenTLS, .array(of: .address, "addresses"), .restart, example: "[\"[::]:8444\"]",
            "where it listens for clients with TLS, unless systemd passes a socket named \"api-tls\""),
        SchemaKey(
            "publish_key_file", \.api.publishKeyFile, .keyFileOrNone, .live, example: "\"/etc/wsd/publish.key\"",
            "the file with the keys of those who may send messages"),
        SchemaKey(
            "read_key_file", \.api.readKeyFile, .keyFileOrNone, .live, example: "\"/etc/wsd/read.key\"",
            "the file with the keys of those who may look"),
        SchemaKey(
            "admin_key_file", \.api.adminKeyFile, .keyFileOrNone, .live, example: "\"/etc/wsd/admin.key\"",
            "the file with the keys of those who may do everything"),
    ]

    private static let broker: [SchemaKey<Settings>] = [
        SchemaKey(
            "type", \.broker.type, .choice(), .restart,
            "what carries messages between nodes"),
        SchemaKey(
            "url", \.broker.url, .brokerURLOrNone, .restart, isSecret: true, example: "\"redis://10.0.0.5:6379\"",
            "where the broker is"),
        SchemaKey(
            "urls", \.broker.urls, .array(of: .brokerURL, "URLs"), .restart, isSecret: true,
            example: "[\"redis://10.0.0.5\", \"redis://10.0.0.6\"]",
            "where several independent Redis servers are, each with a part of the channels, or servers of a NATS cluster"
        ),
        SchemaKey(
            "password_file", \.broker.passwordFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/redis.password\"",
            "the file with the password for the broker"),
        SchemaKey(
            "sentinel_password_file", \.broker.sentinelPasswordFile, .keyFileOrNone, .restart,
            example: "\"/etc/wsd/sentinel.password\"", "the file with the password for the Sentinels, if they have one"),
        SchemaKey(
            "credentials_file", \.broker.credentialsFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/nats.creds\"",
            "the file with the seed of a NATS user, or with credentials as nsc writes them"),
        SchemaKey(
            "ca_file", \.broker.authorityFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/redis-ca.pem\"",
            "the file with the authorities that sign the broker's certificate; \"\" is those of the system"),
        SchemaKey(
            "node_name", \.broker.nodeName, .nodeName, .restart, example: "\"fra-1\"",
            "the name of this node for people; \"\" is the name of the host"),
        SchemaKey(
            "prefix", \.broker.prefix, .brokerPrefix, .restart,
            "the first part of every key and channel at the broker"),
        SchemaKey(
            "probe_interval", \.broker.probeInterval, .duration(.seconds(1) ... .seconds(60)), .restart,
            "the time within which a broker that delivers no more is noticed"),
        SchemaKey(
            "queue_limit", \.broker.queueLimitByteCount, .byteCount(64 * 1024...1 << 40), .live,
            "the most that may wait for the broker"),
        SchemaKey(
            "queue_timeout", \.broker.queueTimeout, .duration(.milliseconds(100) ... .seconds(3600)), .live,
            "the time that a message may wait for the broker"),
        SchemaKey(
            "presence_ttl", \.broker.presenceTTL, .duration(.seconds(2) ... .seconds(3600)), .restart,
            "the time after which a node that is not heard of is gone, and its users with it"),
        SchemaKey(
            "nats_replicas", \.broker.natsReplicas, .integer(1...5), .restart,
            "the number of NATS servers that keep a copy of each stream"),
        SchemaKey(
            "nats_storage", \.broker.natsStorage, .choice(), .restart, "where NATS keeps streams"),
        SchemaKey(
            "certificate_file", \.broker.certificateFile, .keyFileOrNone, .restart,
            example: "\"/etc/wsd/kafka-client.pem\"",
            "the file with the certificate that Kafka or RabbitMQ gets of this node"),
        SchemaKey(
            "key_file", \.broker.keyFile, .keyFileOrNone, .restart, example: "\"/etc/wsd/kafka-client.key\"",
            "the file with the key of that certificate"),
        SchemaKey(
            "partitions", \.broker.partitions, .integer(0...256), .restart,
            "the number of partitions that a topic of Kafka is made with, or of streams of RabbitMQ; 0 is 8, and 1"),
        SchemaKey(
            "retention", \.broker.retention, .duration(.seconds(600) ... .seconds(31 * 86_400)), .restart,
            "the time for which a topic or stream that is made keeps records"),
        SchemaKey(
            "history_limit", \.broker.historyLimitByteCount, .byteCount(1 << 20...1 << 40), .restart,
            "the memory that the histories of all channels take at most with Kafka or RabbitMQ"),
        SchemaKey(
            "kafka_replicas", \.broker.kafkaReplicas, .integer(1...16), .restart,
            "the number of servers of Kafka that keep a copy of each partition"),
        SchemaKey(
            "sasl_mechanism", \.broker.saslMechanism, .choice(), .restart,
            "how this node proves to Kafka who it is, if there is a user"),
        SchemaKey(
            "kafka_properties", \.broker.kafkaProperties, .array(of: .kafkaProperty, "properties"), .restart,
            example: "[\"compression.type=lz4\"]", "further settings of librdkafka, each as NAME=VALUE"),
    ]

    private static let log: [SchemaKey<Settings>] = [
        SchemaKey("level", \.log.level, .choice(), .live, "the least important lines that are written"),
        SchemaKey("access", \.log.access, .choice(), .live, "whether each handshake and each close has a line"),
    ]
}
