import Settings
import Testing

@testable import Configuration

@Suite("The printed configuration")
struct PrintedConfigurationTests {
    private let text = """
        log.level = "debug"
        [server]
        listen = [":0", "127.0.0.1:80"]
        max_connections = 1_000
        allowed_origins = ["*", "https://*.Example.org:8443", "null"]
        trusted_proxies = ["10.0.0.0/8", "::1", "::ffff:192.0.2.0/120"]
        [websocket]
        max_message_size = 100_001
        compression = false
        ping_interval = "1h0.25s"
        [drain]
        period = "1500ms"
        [[endpoint]]
        path = "/a"
        channel = "tab\\tno, \\"quotes\\" \\\\ 🎉"
        [[endpoint]]
        channel = "b"
        path = "/b"
        [channels."z:*"]
        history = 10
        [channels."a \\"b\\""]
        echo = false
        [channels."a.b\u{200D}🎉é"]
        [channels."*"]
        publish = "nobody"
        [auth]
        mode = "jwt"
        hmac_secret_file = "/etc/wsd/a \\"secret\\""
        public_key_files = ["/a.pem", "/b.pem"]
        jwks = "https://login.example.org:8443/jwks?a=%20"
        issuer = "https://login.example.org/ä"
        cookie = "__Host-token"
        refresh_grace = "1m30s"
        """

    @Test("is read to the same values")
    func roundTrip() throws {
        #expect(errors(text).map { $0.prefix(7) } == ["f:15:11"])
        for text in ["", text.replacing("tab\\t", with: "")] {
            let first = try loaded(text)
            let second = try loaded(first.printed)
            #expect(first.configuration.channels.map(\.pattern) == second.configuration.channels.map(\.pattern))
            #expect(first.configuration == second.configuration)
            // The first comments name the text, the second the printed form; the values read the same.
            #expect(
                first.printed.split(separator: "\n").map { $0.split(separator: "  #")[0] }
                    == second.printed.split(separator: "\n").map { $0.split(separator: "  #")[0] })
        }
    }

    @Test("holds every key with where it comes from")
    func origins() throws {
        let printed = try loaded(
            "[server]\nworkers = 2\n[[endpoint]]\npath = \"/a\"\n[channels.\"PATTERN\"]\n"
                + "[[consume]]\nsource = \"redis-stream\"\nstream = \"a\"\nurl = \"redis://a\""
        ).printed
        #expect(printed.contains("\nworkers = 2                    # f:2\n"))
        #expect(printed.contains("\nlisten = [\"[::]:8080\"]         # default\n"))
        #expect(printed.contains("[[endpoint]]\npath = \"/a\"         # f:4\nprotocol = \"relay\"  # default\n"))
        #expect(
            printed.split(separator: "\n").filter { !$0.hasPrefix("[") }.map { $0.split(separator: " ")[0] }
                == ConfigurationKey.all.map { $0.name[...] })
        #expect(
            printed.split(separator: "\n").filter { $0.hasPrefix("[") } == Schema.sections.map { $0.heading[...] })
    }

    @Test("hides a secret, and still can be read")
    func secret() throws {
        var configuration = Settings()
        configuration.broker.url = try BrokerURL(parsing: "redis://alice:hunter2@h")
        let printed = LoadedConfiguration(configuration: configuration, files: [], origins: [:]).printed
        #expect(!printed.contains("hunter2") && !printed.contains("alice"))
        #expect(printed.contains("\n# url is set, and secret     # default\n"))
        #expect(errors(printed).isEmpty)
        configuration.broker.url = nil
        configuration.broker.urls = [try BrokerURL(parsing: "redis://:hunter2@h")]
        let several = LoadedConfiguration(configuration: configuration, files: [], origins: [:]).printed
        #expect(!several.contains("hunter2") && several.contains("\n# urls is set, and secret"))
        let open = try loaded("[broker]\ntype = \"redis\"\nurl = \"rediss://a:1/2\"").printed
        #expect(open.contains("\nurl = \"rediss://a:1/2\""))
        #expect(try loaded(open).configuration.broker.url?.text == "rediss://a:1/2")
    }

    @Test("keeps a strange path on its line")
    func strangePath() throws {
        let loaded = try ConfigurationLoader().load(texts: [("a\nb", "[server]\nworkers = 2")])
        #expect(loaded.printed.contains("# \"a\\nb:2\"\n"))
    }
}
