import Settings
import Testing

@testable import Configuration

@Suite("The broker")
struct BrokerTests {
    @Test(
        "A URL says where the broker is and how one logs in there",
        arguments: [
            ("redis://10.0.0.5", "redis://10.0.0.5:6379"),
            ("redis://10.0.0.5:6380/", "redis://10.0.0.5:6380"),
            ("redis://redis.example.org/7", "redis://redis.example.org:6379/7"),
            ("rediss://[::1]", "rediss://[::1]:6379"),
            ("rediss://[2001:db8::1]:7000/15", "rediss://[2001:db8::1]:7000/15"),
            ("redis://alice:hunter2@a", "redis://a:6379"),
            ("redis://:hunter2@a:1/65535", "redis://a:1/65535"),
            ("redis://alice:a%40b%2fc@d@a", "redis://a:6379"),
            ("unix:///run/redis/redis.sock", "unix:///run/redis/redis.sock"),
            ("unix://alice:hunter2@/run/r.sock?db=3", "unix:///run/r.sock?db=3"),
            ("unix:///run/a%20b", "unix:///run/a b"),
            ("redis+sentinel://a,b:26380,[::1]/main", "redis+sentinel://a:26379,b:26380,[::1]:26379/main"),
            ("rediss+sentinel://alice:hunter2@a/main/3", "rediss+sentinel://a:26379/main/3"),
            ("redis+sentinel://:hunter2@a,b/my%2Fmain/", "redis+sentinel://a:26379,b:26379/my/main"),
            ("redis+cluster://a:7000,b:7001/", "redis+cluster://a:7000,b:7001"),
            ("rediss+cluster://alice:hunter2@a", "rediss+cluster://a:6379"),
            ("nats://alice:hunter2@a", "nats://a:4222"),
            ("tls://hunter2@[::1]:4223/", "tls://[::1]:4223"),
            ("kafka://a,b:9093", "kafka://a:9092,b:9093"),
            ("kafka+tls://alice:hunter2@a/", "kafka+tls://a:9092"),
            ("amqp://alice:hunter2@a,b/my%2Fhost", "amqp://a:5672,b:5672/my/host"),
            ("amqps://a", "amqps://a:5671"),
        ])
    func urls(text: String, description: String) throws {
        let url = try BrokerURL(parsing: text)
        #expect(url.description == description)
        #expect(url.text == text)
    }

    @Test("The user and the password are decoded, and a part that is empty is none")
    func login() throws {
        let url = try BrokerURL(parsing: "redis://al%3aice:h%25u:n%C3%A9@[::1]:6379")
        #expect(url.user == "al:ice" && url.password == "h%u:né" && url.hosts.map(\.name) == ["::1"])
        #expect(try BrokerURL(parsing: "redis://:p@a").user == nil)
        #expect(try BrokerURL(parsing: "redis://alice@a").password == nil)
        #expect(try BrokerURL(parsing: "redis://a").user == nil)
        // The last "@" is the one before the host.
        #expect(try BrokerURL(parsing: "redis://u:p@q@a").password == "p@q")
    }

    private static let forms =
        "redis://HOST:PORT/DATABASE, rediss:// likewise with TLS, unix:///PATH?db=DATABASE, "
        + "redis+sentinel://HOST:PORT,…/MASTER or redis+cluster://HOST:PORT,…; "
        + "or for NATS nats://HOST:PORT or tls://HOST:PORT; "
        + "or for Kafka kafka://HOST:PORT,… or kafka+tls://HOST:PORT,…; "
        + "or for RabbitMQ amqp://HOST:PORT,…/VHOST or amqps://"

    @Test(
        "Another URL is refused with the way out",
        arguments: [
            ("10.0.0.5:6379", "this is no URL; write \(forms)"),
            ("redis:/a", "this is no URL; write \(forms)"),
            ("a:hunter2@b://c", "this is no URL; write \(forms)"),
            ("mqtt://a", "\"mqtt\" is no scheme that a broker has; write \(forms)"),
            ("nats://a/1", "NATS has no databases, so nothing comes after the host; leave \"/…\" out"),
            ("kafka://a/1", "Kafka has no databases, so nothing comes after the host; leave \"/…\" out"),
            ("amqp://a/b/c", "a \"/\" in the name of a virtual host is written %2F"),
            ("nats://a,b", "several servers of a NATS cluster are in broker.urls; write one host"),
            ("REDIS://a", "\"REDIS\" is no scheme that a broker has; write \(forms)"),
            ("redis://", "the URL names no host; write \(forms)"),
            ("redis://:6379", "the URL names no host; write \(forms)"),
            ("redis://u:hunter2@/1", "the URL names no host; write \(forms)"),
            ("redis://a:0", "the port must be 1 to 65535; an IPv6 address is in brackets"),
            ("redis://a:65536", "the port must be 1 to 65535; an IPv6 address is in brackets"),
            ("redis://a:+1", "the port must be 1 to 65535; an IPv6 address is in brackets"),
            ("redis://a:", "the port must be 1 to 65535; an IPv6 address is in brackets"),
            ("redis://u:hunter2@a:x", "the port \"x\" must be 1 to 65535; an IPv6 address is in brackets"),
            ("redis://::1", "an IPv6 address is in brackets: redis://[::1]:6379"),
            ("redis://[::1", "an IPv6 address is in brackets: redis://[::1]:6379"),
            ("amqps://::1", "an IPv6 address is in brackets: amqps://[::1]:5671"),
            ("redis://[x]", "what is in brackets is no IPv6 address"),
            ("redis://u:hunter2@[x]", "what is in brackets \"x\" is no IPv6 address"),
            ("redis://a/x", "the database must be a number, 0 to 65535"),
            ("redis://a/-1", "the database must be a number, 0 to 65535"),
            ("redis://a/1/2", "the database must be a number, 0 to 65535"),
            ("redis://u:hunter2@a/x", "the database \"x\" must be a number, 0 to 65535"),
            ("redis://a?db=1", "a query or fragment has no meaning here; write \(forms)"),
            ("redis://a#1", "a query or fragment has no meaning here; write \(forms)"),
            ("redis://a b", "the URL has a space or a control character; write it as %20 and the like"),
            ("redis://a%20b", "the name of the host has a space or a control character"),
            (
                "redis://u:hunter2@a%20b",
                "the name of the host \"a%20b\" has a space or a control character"
            ),
            ("redis://:hunter2%@a", "the password: after a \"%\" come two hexadecimal digits; \"%\" itself is %25"),
            ("redis://:hunter2%+f@a", "the password: after a \"%\" come two hexadecimal digits; \"%\" itself is %25"),
            ("redis://:hunter2%ff@a", "the password is not UTF-8; write each byte of its UTF-8 as %XX"),
            ("redis://%ff:hunter2@a", "the user is not UTF-8; write each byte of its UTF-8 as %XX"),
            ("unix://run/r.sock", "a Unix socket has an absolute path of 107 bytes at most; write unix:///PATH"),
            ("unix:///", "a Unix socket has an absolute path of 107 bytes at most; write unix:///PATH"),
            ("unix:///a%00b", "a Unix socket has an absolute path of 107 bytes at most; write unix:///PATH"),
            ("unix:///r.sock?x=1", "after \"?\" there may be db=DATABASE, nothing else"),
            ("unix:///r.sock?db=", "the database must be a number, 0 to 65535"),
            ("redis+x://a", "\"redis+x\" is no scheme that a broker has; write \(forms)"),
            (
                "redis://a,b",
                "several hosts are for redis+sentinel:// and redis+cluster://; independent servers are in broker.urls"
            ),
            ("redis+cluster://a,a:6379", "a:6379 is there twice; leave one out"),
            ("redis+cluster://a,,b", "the URL names no host; write \(forms)"),
            (
                "redis+cluster://a/1",
                "a cluster has no databases, so nothing comes after the hosts; leave \"/…\" out"
            ),
            (
                "rediss+sentinel://u:hunter2@a",
                "the URL names no master, as \"sentinel monitor\" in sentinel.conf does; "
                    + "write rediss+sentinel://HOST:PORT,…/MASTER"
            ),
            (
                "redis+sentinel://a//1",
                "the URL names no master, as \"sentinel monitor\" in sentinel.conf does; "
                    + "write redis+sentinel://HOST:PORT,…/MASTER"
            ),
            ("redis+sentinel://a/main/x", "the database must be a number, 0 to 65535"),
            ("redis+sentinel://a:0/main", "the port must be 1 to 65535; an IPv6 address is in brackets"),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue(error)) { try BrokerURL(parsing: text) }
        let found = errors("[broker]\ntype = \"redis\"\nurl = \(quoted(text))")
        #expect(found == ["f:3:7: broker.url: \(error)"])
    }

    @Test("A password is in no message")
    func secret() {
        for url in [
            "redis://:hunter2@", "redis:hunter2@a://b", "redis://u:hunter2@a:x", "redis://u:hunter2@a/x",
            "redis://u:hunter2@[x]", "redis://u:hunter2@a?b", "redis://u:hun ter2@a", "unix://u:hunter2@a",
            "redis://u:hunter2@a", "redis+sentinel://u:hunter2@a", "redis+cluster://u:hunter2@a/1", "nats://hunter2@a",
            "tls://u:hunter2@a/x", "kafka://u:hunter2@a/x", "amqp://u:hunter2@a",
        ] {
            for type in ["local", "redis", "nats", "kafka", "rabbitmq"] {
                let found = errors("[broker]\ntype = \"\(type)\"\nurl = \"\(url)\"\nca_file = \"/a\"")
                #expect(!found.isEmpty)
                #expect(found.allSatisfy { !$0.contains("hunter2") && !$0.contains("ter2") })
            }
        }
        #expect(
            errors("[broker]\nurl = 42") == [
                "f:2:7: broker.url: got an integer; give a URL in quotes, such as url = \"redis://10.0.0.5:6379\""
            ])
    }

    private static let agreements: [(String, [String])] = [
        (
            "type = \"redis\"",
            ["2:1: broker.type: \"redis\" needs broker.url, such as \"redis://10.0.0.5:6379\""]
        ),
        (
            "url = \"redis://a\"\nca_file = \"/a\"\npassword_file = \"/b\"\nnode_name = \"n\"",
            alone(["url", "ca_file", "password_file", "node_name"])
        ),
        (
            "type = \"redis\"\nurl = \"redis://:p@a\"\npassword_file = \"/a\"",
            ["4:1: broker.password_file: broker.url has a password, too; leave one of them out"]
        ),
        (
            "type = \"redis\"\nurl = \"redis://alice@a\"",
            [
                "3:1: broker.url: it names a user and no password; give broker.password_file, "
                    + "or leave the user out"
            ]
        ),
        ("type = \"redis\"\nurl = \"redis://alice@a\"\npassword_file = \"/a\"", []),
        (
            "type = \"redis\"\nurl = \"redis://a\"\nca_file = \"/a\"",
            [
                "4:1: broker.ca_file: the connection to redis://a:6379 has no TLS; write rediss://, "
                    + "or leave it out"
            ]
        ),
        ("type = \"redis\"\nurl = \"rediss://a\"\nca_file = \"/a\"", []),
        ("type = \"redis\"\nurl = \"rediss+sentinel://a/m\"\nca_file = \"/a\"", []),
        (
            "type = \"redis\"\nurl = \"redis+cluster://a\"\nca_file = \"/a\"",
            [
                "4:1: broker.ca_file: the connection to redis+cluster://a:6379 has no TLS; "
                    + "write rediss+cluster://, or leave it out"
            ]
        ),
        ("type = \"redis\"\nurl = \"redis+sentinel://a/m\"\nsentinel_password_file = \"/a\"", []),
        (
            "type = \"redis\"\nurl = \"redis://a\"\nsentinel_password_file = \"/a\"",
            [
                "4:1: broker.sentinel_password_file: redis://a:6379 has no Sentinels; write redis+sentinel://, "
                    + "or leave it out"
            ]
        ),
        ("type = \"redis\"\nurls = [\"redis://:p@a\", \"redis://:p@b\"]", []),
        (
            "type = \"redis\"\nurl = \"redis://a\"\nurls = [\"redis://b\"]",
            ["4:1: broker.urls: broker.url says where the broker is, too; leave one of them out"]
        ),
        (
            "urls = [\"redis://b\"]\nsentinel_password_file = \"/a\"",
            alone(["urls", "sentinel_password_file"])
        ),
        (
            "type = \"redis\"\nurls = [\"redis://:p@a\", \"redis://:p@a:6379/\"]",
            ["3:1: broker.urls: redis://a:6379 is there twice; leave one out"]
        ),
        (
            "type = \"redis\"\nurls = [\"redis://:p@a\", \"redis://:p@a\"]",
            ["3:25: broker.urls: a value is there twice; leave one out"]
        ),
        (
            "type = \"redis\"\nurls = [\"redis://:p@a\", \"redis://:q@b\"]",
            [
                "3:1: broker.urls: redis://b:6379 differs from redis://a:6379 in the user, the password, the database "
                    + "or TLS; set up the servers alike"
            ]
        ),
        (
            "type = \"redis\"\nurls = [\"redis+cluster://a\"]",
            ["3:1: broker.urls: redis+cluster://a:6379 is more than one server; write it as broker.url"]
        ),
        (
            "type = \"redis\"\nurls = [\"redis://:p@a\"]\npassword_file = \"/a\"",
            ["4:1: broker.password_file: broker.urls has a password, too; leave one of them out"]
        ),
        (
            "type = \"redis\"\nurl = \"redis://a\"\n[channels.\"a\"]\nhistory = 1\nhistory_bytes = \"65MiB\"\n"
                + "[channels.\"b\"]\nhistory_bytes = \"1GiB\"\n[channels.\"c\"]\nhistory = 1\nhistory_bytes = \"64MiB\"",
            [
                "6:1: channels.\"a\".history_bytes: \"65MiB\" is too much to be kept by a broker, as nodes read a channel's "
                    + "history at once; give \"64MiB\" at most"
            ]
        ),
        ("type = \"nats\"\nurl = \"nats://token@a\"", []),
        ("type = \"nats\"\nurls = [\"tls://u:p@a\", \"tls://u:p@b\"]\nca_file = \"/a\"\nnats_replicas = 3", []),
        ("type = \"nats\"\nurl = \"nats://a\"\ncredentials_file = \"/a\"\nnats_storage = \"memory\"", []),
        (
            "type = \"nats\"",
            ["2:1: broker.type: \"nats\" needs broker.url, such as \"nats://10.0.0.5:4222\""]
        ),
        (
            "type = \"nats\"\nurl = \"redis://a\"",
            ["3:1: broker.url: redis://a:6379 is for broker.type = \"redis\"; set that, or another URL"]
        ),
        (
            "type = \"redis\"\nurls = [\"redis://a\", \"nats://a\"]",
            ["3:1: broker.urls: nats://a:4222 is for broker.type = \"nats\"; set that, or another URL"]
        ),
        (
            "type = \"redis\"\nurl = \"redis://a\"\ncredentials_file = \"/a\"\nnats_replicas = 2\nnats_storage = \"memory\"",
            ["credentials_file", "nats_replicas", "nats_storage"].enumerated().map { index, key in
                "\(index + 4):1: broker.\(key): only NATS has it; set broker.type = \"nats\", or leave it out"
            }
        ),
        (
            "type = \"nats\"\nurl = \"nats://u:p@a\"\ncredentials_file = \"/a\"",
            ["4:1: broker.credentials_file: broker.url says who this is, too; leave one of them out"]
        ),
        (
            "type = \"nats\"\nurl = \"nats://a\"\ncredentials_file = \"/a\"\npassword_file = \"/b\"",
            ["4:1: broker.credentials_file: broker.password_file is there, too; leave one of them out"]
        ),
        (
            "type = \"nats\"\nurl = \"nats://a\"\nca_file = \"/a\"",
            ["4:1: broker.ca_file: the connection to nats://a:4222 has no TLS; write tls://, or leave it out"]
        ),
        (
            "type = \"nats\"\nurl = \"nats://a\"\nsentinel_password_file = \"/a\"",
            ["4:1: broker.sentinel_password_file: nats://a:4222 has no Sentinels; leave it out"]
        ),
        (
            "type = \"kafka\"\nurl = \"kafka+tls://u:p@a,b\"\nca_file = \"/a\"\ncertificate_file = \"/b\"\nkey_file = \"/c\"\n"
                + "partitions = 12\nretention = \"2h\"\nkafka_replicas = 3\nsasl_mechanism = \"scram-sha-512\"\n"
                + "kafka_properties = [\"compression.type=lz4\"]\nhistory_limit = \"1GiB\"",
            []
        ),
        ("type = \"rabbitmq\"\nurl = \"amqps://u@a/v\"\npassword_file = \"/a\"\nca_file = \"/a\"\npartitions = 2", []),
        (
            "type = \"kafka\"\nurl = \"amqp://a\"",
            ["3:1: broker.url: amqp://a:5672 is for broker.type = \"rabbitmq\"; set that, or another URL"]
        ),
        (
            "type = \"rabbitmq\"\nurl = \"amqp://a\"\nkafka_replicas = 3\nkey_file = \"/a\"",
            [
                "4:1: broker.kafka_replicas: only Kafka has it; set broker.type = \"kafka\", or leave it out",
                "5:1: broker.key_file: broker.certificate_file is not there, and one is of no use without the other; "
                    + "give both",
            ]
        ),
        (
            "type = \"redis\"\nurl = \"redis://a\"\npartitions = 3\nretention = \"2h\"",
            ["partitions", "retention"].enumerated().map { index, key in
                "\(index + 4):1: broker.\(key): only Kafka and RabbitMQ have it; set broker.type to \"kafka\" or "
                    + "\"rabbitmq\", or leave it out"
            }
        ),
        (
            "type = \"kafka\"\nurls = [\"kafka://a\", \"kafka://b\"]",
            [
                "3:1: broker.urls: several servers of Kafka are in one URL, kafka://HOST,HOST; write broker.url"
            ]
        ),
        (
            "type = \"kafka\"\nurl = \"kafka://a\"\n[channels.\"a\"]\nhistory = 1\nhistory_ttl = \"2h\"",
            [
                "6:1: channels.\"a\".history_ttl: Kafka keeps messages for broker.retention = \"1h\" only; raise that, "
                    + "or give a shorter time"
            ]
        ),
        (
            "type = \"kafka\"\nurl = \"kafka://a\"\nkafka_properties = [\"x\"]",
            [
                "4:21: broker.kafka_properties: \"x\" is no setting; write NAME=VALUE, such as \"compression.type=lz4\""
            ]
        ),
        // They are used as soon as there is a broker.
        ("prefix = \"x\"\nqueue_limit = \"1MiB\"\npresence_ttl = \"1m\"", []),
    ]

    /// What is said of keys that have no effect.
    private static func alone(_ keys: [String]) -> [String] {
        keys.enumerated().map { index, key in
            "\(index + 2):1: broker.\(key): this node is alone, so it has no effect; "
                + "set broker.type, or leave it out"
        }
    }

    @Test("Its keys must agree with each other", arguments: agreements)
    func agreement(text: String, expected: [String]) {
        #expect(errors("[broker]\n\(text)").sorted() == expected.map { "f:\($0)" }.sorted())
    }

    @Test(
        "A prefix and a node's name are words",
        arguments: [
            (
                "prefix = \"a b\"",
                "10: broker.prefix: \"a b\" is not 1 to 32 letters, digits, \".\", \"_\" and \"-\"; "
                    + "take a word such as \"wsd\""
            ),
            (
                "prefix = \"\"",
                "10: broker.prefix: \"\" is not 1 to 32 letters, digits, \".\", \"_\" and \"-\"; "
                    + "take a word such as \"wsd\""
            ),
            (
                "prefix = \"a{b}\"",
                "10: broker.prefix: \"a{b}\" is not 1 to 32 letters, digits, \".\", \"_\" and \"-\"; "
                    + "take a word such as \"wsd\""
            ),
            (
                "node_name = \"a b\"",
                "13: broker.node_name: \"a b\" is longer than 64 bytes or has a space in it; take a word"
            ),
        ])
    func words(text: String, error: String) {
        #expect(errors("[broker]\n\(text)") == ["f:2:\(error)"])
        #expect(errors("[broker]\nprefix = \"Az09.x_y-z\"").isEmpty)
    }

    @Test("Probes are at least a second apart, so that a busy machine's broker is not given up")
    func probes() {
        let file = "[broker]\ntype = \"redis\"\nurl = \"redis://a:6379\"\nprobe_interval = "
        #expect(errors(file + "\"1s\"").isEmpty)
        #expect(
            errors(file + "\"999ms\"") == [
                "f:4:18: broker.probe_interval: \"999ms\" is out of range; give a duration from \"1s\" to \"1m\""
            ])
    }
}
