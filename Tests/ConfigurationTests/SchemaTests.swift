import Settings
import Testing

@testable import Configuration

@Suite("The schema")
struct SchemaTests {
    /// The design's listing, in its order and with its defaults.
    private let design = """
        server.listen = ["[::]:8080"]
        server.listen_tls = []
        server.workers = 0
        server.flush_delay = "0s"
        server.io_uring = "auto"
        server.max_connections = 100000
        server.max_connections_per_ip = 1000
        server.handshake_timeout = "10s"
        server.max_header_size = "16KiB"
        server.allowed_hosts = []
        server.allowed_origins = []
        server.trusted_proxies = []
        tls.certificates = []
        tls.minimum_version = "1.2"
        tls.client_certificates = "none"
        tls.client_ca = ""
        tls.client_identity = "none"
        tls.core_dumps = false
        tls.http_redirect = false
        tls.acme_directory = ""
        websocket.max_message_size = "1MiB"
        websocket.compression = true
        websocket.compression_level = 1
        websocket.compression_threshold = 256
        websocket.ping_interval = "25s"
        websocket.pong_timeout = "10s"
        websocket.close_timeout = "5s"
        websocket.message_timeout = "1m"
        queue.limit = "1MiB"
        queue.policy = "disconnect"
        queue.write_timeout = "10s"
        limits.messages_per_second = 0
        limits.burst = 0
        limits.channels = 128
        limits.errors_per_minute = 60
        limits.history_bytes = "64MiB"
        limits.memory = "50%"
        drain.period = "20s"
        drain.timeout = "30s"
        restart.snapshot_interval = "10s"
        endpoint.path
        endpoint.protocol = "relay"
        endpoint.channel = "lobby"
        channels.presence = false
        channels.join_leave = false
        channels.leave_delay = "2s"
        channels.history = 0
        channels.history_ttl = "5m"
        channels.history_bytes = "1MiB"
        channels.publish = "anyone"
        channels.subscribe = "anyone"
        channels.max_members = 0
        channels.echo = true
        auth.mode = "none"
        auth.hmac_secret_file = ""
        auth.public_key_files = []
        auth.jwks = ""
        auth.issuer = ""
        auth.audience = ""
        auth.leeway = "30s"
        auth.max_lifetime = "1d"
        auth.require_exp = false
        auth.cookie = ""
        auth.refresh_grace = "30s"
        control.path = "/run/wsd/io.wsd.Control"
        control.status_path = "/run/wsd/io.wsd.Status"
        api.listen = ["127.0.0.1:8081"]
        api.listen_tls = []
        api.publish_key_file = ""
        api.read_key_file = ""
        api.admin_key_file = ""
        broker.type = "local"
        broker.url = ""
        broker.urls = []
        broker.password_file = ""
        broker.sentinel_password_file = ""
        broker.credentials_file = ""
        broker.ca_file = ""
        broker.node_name = ""
        broker.prefix = "wsd"
        broker.probe_interval = "2s"
        broker.queue_limit = "16MiB"
        broker.queue_timeout = "10s"
        broker.presence_ttl = "10s"
        broker.nats_replicas = 1
        broker.nats_storage = "file"
        broker.certificate_file = ""
        broker.key_file = ""
        broker.partitions = 0
        broker.retention = "1h"
        broker.history_limit = "256MiB"
        broker.kafka_replicas = 1
        broker.sasl_mechanism = "plain"
        broker.kafka_properties = []
        consume.source
        consume.url = ""
        consume.password_file = ""
        consume.ca_file = ""
        consume.credentials_file = ""
        consume.stream
        consume.subject = ""
        consume.exchange = ""
        consume.binding = ""
        consume.group = "wsd"
        consume.from = "new"
        consume.channel = ""
        consume.channel_field = "channel"
        consume.data_field = "data"
        consume.format = "json"
        consume.dead_letter = ""
        log.level = "info"
        log.access = "off"
        """

    @Test("has every key of the design with its default, once")
    func matchesTheDesign() {
        let keys = ConfigurationKey.all.map { key in key.path + (key.defaultText.map { " = \($0)" } ?? "") }
        #expect(keys == design.split(separator: "\n").map(String.init))
    }

    @Test("reads each of its defaults as the default, alone and all together")
    func defaults() throws {
        for key in ConfigurationKey.all where !["endpoint", "channels", "consume"].contains(key.section) {
            let text = "[\(key.section)]\n\(key.name) = \(try #require(key.defaultText))"
            #expect(try loaded(text).configuration == Settings(), "\(key.path)")
        }
        for key in ConfigurationKey.all where key.section == "channels" {
            let text = "[channels.\"*\"]\n\(key.name) = \(try #require(key.defaultText))"
            #expect(try loaded(text).configuration.channels == [Settings.Channel(pattern: "*")], "\(key.path)")
        }
        #expect(errors(try loaded("").printed).isEmpty)
    }

    @Test("says in the meaning what the manual does not repeat: one line, no full stop")
    func meanings() {
        for key in ConfigurationKey.all {
            #expect(!key.meaning.isEmpty && !key.meaning.hasSuffix(".") && !key.meaning.contains("\n"), "\(key.path)")
        }
    }
}
