import Testing

@testable import Configuration

@Suite("Errors say where, what and the way out")
struct ConfigurationErrorsTests {
    @Test(
        "A value that is wrong by itself",
        arguments: [
            (
                "[server]\nworkers = \"four\"",
                "2:11: server.workers: got the string \"four\"; give an integer from 0 to 64, such as workers = 4"
            ),
            ("[server]\nworkers = 65", "2:11: server.workers: 65 is out of range; give an integer from 0 to 64"),
            ("[server]\nworkers = -1", "2:11: server.workers: -1 is out of range; give an integer from 0 to 64"),
            (
                "[server]\nmax_connections = 1.5",
                "2:19: server.max_connections: got the float 1.5; give an integer from 1 to 10000000, such as max_connections = 100000"
            ),
            (
                "[server]\nmax_connections = 0",
                "2:19: server.max_connections: 0 is out of range; give an integer from 1 to 10000000"
            ),
            (
                "[server]\nhandshake_timeout = 10",
                "2:21: server.handshake_timeout: 10 has no unit; for seconds write \"10s\", for milliseconds \"10ms\""
            ),
            (
                "[server]\nhandshake_timeout = 1.5",
                "2:21: server.handshake_timeout: 1.5 has no unit; for seconds write \"1.5s\""
            ),
            (
                "[server]\nhandshake_timeout = true",
                "2:21: server.handshake_timeout: got the boolean true; give a duration in quotes, such as handshake_timeout = \"10s\""
            ),
            (
                "[server]\nhandshake_timeout = \"0s\"",
                "2:21: server.handshake_timeout: \"0s\" is out of range; give a duration from \"10ms\" to \"1h\""
            ),
            (
                "[websocket]\nping_interval = \"1ms\"",
                "2:17: websocket.ping_interval: \"1ms\" is out of range; give a duration from \"10ms\" to \"1d\", or \"0s\" for never"
            ),
            (
                "[websocket]\npong_timeout = \"10 s\"",
                "2:16: websocket.pong_timeout: \"10 s\": \" s\" is no unit; the units are d, h, m, s and ms"
            ),
            (
                "[server]\nmax_header_size = 1",
                "2:19: server.max_header_size: 1 is out of range; give a size from \"1KiB\" to \"1MiB\""
            ),
            (
                "[server]\nmax_header_size = \"2MiB\"",
                "2:19: server.max_header_size: \"2MiB\" is out of range; give a size from \"1KiB\" to \"1MiB\""
            ),
            ("[queue]\nlimit = \"64K\"", "2:9: queue.limit: \"64K\": \"K\" is no unit; write \"64KiB\" or \"64kB\""),
            (
                "[queue]\nlimit = []",
                "2:9: queue.limit: got an empty array; give a size in quotes, or a number of bytes, such as limit = \"1MiB\""
            ),
            (
                "[websocket]\ncompression = \"yes\"",
                "2:15: websocket.compression: got the string \"yes\"; give true or false, without quotes, such as compression = true"
            ),
            (
                "[server]\nlisten = \"[::]:80\"",
                "2:10: server.listen: got the string \"[::]:80\"; give an array of addresses, such as listen = [\"[::]:8080\"]"
            ),
            (
                "[server]\nlisten = [\n  \":80\",\n  \"example.org:80\"]",
                "4:3: server.listen: \"example.org:80\": \"example.org\" is a host name; give the address itself, or \"localhost\""
            ),
            (
                "[server]\nlisten = [\":80\", \"[::]:80\"]",
                "2:18: server.listen: \"[::]:80\" is there twice; leave one out"
            ),
            (
                "[server]\ntrusted_proxies = [\"10.0.0.1/8\"]",
                "2:20: server.trusted_proxies: \"10.0.0.1/8\" has bits beyond its prefix; write \"10.0.0.0/8\""
            ),
            (
                "[server]\nallowed_origins = [7]",
                "2:20: server.allowed_origins: got the integer 7; give an origin in quotes, such as allowed_origins = [\"https://example.org\"]"
            ),
            (
                "[server]\nallowed_origins = [\"example.org\"]",
                "2:20: server.allowed_origins: \"example.org\" has no scheme; write \"https://example.org\""
            ),
            (
                "[log]\nlevel = 1979-05-27",
                "2:9: log.level: got the date or time 1979-05-27; give \"trace\", \"debug\", \"info\", \"notice\", \"warning\", \"error\" or \"critical\", such as level = \"info\""
            ),
            (
                "[control]\npath = \"run/wsd\"",
                "2:8: control.path: \"run/wsd\" is not absolute; write it from \"/\" on, such as \"/run/wsd/io.wsd.Control\""
            ),
        ])
    func wrongValue(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
    }

    @Test(
        "What a later version has is told from what there never was",
        arguments: [
            (
                "[broker]\ntype = \"pulsar\"",
                "2:8: broker.type: \"pulsar\" is unknown; give \"local\", \"redis\", \"nats\", \"kafka\" or \"rabbitmq\""
            ),
            (
                "[broker]\ntype = \"rediss\"",
                "2:8: broker.type: \"rediss\" is unknown; did you mean \"redis\"? There are \"local\", \"redis\", \"nats\", \"kafka\" and \"rabbitmq\""
            ),
            (
                "[[endpoint]]\npath = \"/a\"\nprotocol = \"raw\"",
                "3:12: endpoint.protocol: \"raw\" is unknown; give \"relay\" or \"json\""
            ),
        ])
    func later(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
        #expect(errors("[auth]\nmode = \"none\"\nissuer = \"\"\npublic_key_files = []\nleeway = \"1m\"").isEmpty)
    }

    @Test(
        "A table that is none, and the other way round",
        arguments: [
            ("server = 1", "1:1: server: got the integer 1; it is a table, which begins with [server]"),
            ("[[server]]", "1:3: server: got an array; it is a table, which begins with [server]"),
            (
                "[server.workers]\nx = 1",
                "1:1: server.workers: got a table; give an integer from 0 to 64, such as workers = 4"
            ),
            ("[endpoint]\npath = \"/a\"", "1:2: endpoint: there can be several, so write [[endpoint]] above its keys"),
            ("endpoint = 1", "1:1: endpoint: each is a table, so write [[endpoint]] above its keys"),
            ("endpoint = [1]", "1:13: endpoint: got the integer 1; each is a table with a path"),
            (
                "endpoint = []",
                "1:12: endpoint: the array is empty; leave it out for the default, or give an [[endpoint]]"
            ),
        ])
    func wrongShape(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
    }

    @Test("Everything that is wrong in all files is said at once, in the order of the files and their lines")
    func allAtOnce() {
        let found = errors(
            "[drain]\nperiod = 1\n[sever]\n[server]\nworkers = -1\nmax_conections = 1\n",
            "a = 1\na = 2",
            "[[endpoint]]\npath = \"/\"\n[log]\nlevel = 3\n[x",
            "[queue]\npolicy = \"drop\"")
        #expect(
            found.map { $0.prefix(while: { $0 != " " }) } == [
                "f1:2:10:", "f1:3:2:", "f1:5:11:", "f1:6:1:", "f2:2:5:", "f3:5:3:", "f4:2:10:",
            ])
        #expect(found[4] == "f2:2:5: syntax error while parsing key-value pair: cannot redefine existing integer 'a'")
        do throws(ConfigurationErrors) {
            _ = try ConfigurationLoader().load(texts: [("f", "a = 1\nb = 1")])
            Issue.record("it was accepted")
        } catch {
            #expect(error.description.split(separator: "\n").count == 2)
            #expect(error.errors.map(\.line) == [1, 2])
            #expect(error.errors.map(\.column) == [1, 1])
            #expect(error.errors.map(\.file) == ["f", "f"])
        }
    }

    @Test("What a file says cannot forge lines of the message")
    func escaping() {
        let found = errors("[\"a\\nf:1:1: all is well\\u001B[2J\"]")
        #expect(found.count == 1)
        #expect(found[0].unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
    }
}
