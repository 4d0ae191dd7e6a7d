import Testing

@testable import Configuration

@Suite("A value without its quotes")
struct UnquotedValueTests {
    @Test(
        "is answered with the quotes, at its place, whatever the parser took it for",
        arguments: [
            ("[queue]\npolicy = drop-oldest", "2:10", "drop-oldest"), ("[log]\nlevel = info", "2:9", "info"),
            ("[log]\nlevel = notice # text", "2:9", "notice"), ("[log]\nlevel=trace\r\n", "2:7", "trace"),
            ("[websocket]\nping_interval = 25s", "2:17", "25s"), ("[queue]\nlimit = 64KiB", "2:9", "64KiB"),
            ("[limits]\nmemory = 50%", "2:10", "50%"), ("[auth]\nmode = jwt", "2:8", "jwt"),
            ("[server]\nlisten = [127.0.0.1:80]", "2:11", "127.0.0.1:80"),
            ("[server]\nlisten = [\n  \":80\",\n  0.0.0.0:81,\n]", "4:3", "0.0.0.0:81"),
            ("[server]\nallowed_origins = [\"*\", https://a.org]", "2:25", "https://a.org"),
            ("[auth]\nhmac_secret_file = credential:jwt", "2:20", "credential:jwt"),
            ("[[endpoint]]\npath = /a b  ", "2:8", "/a b"), ("[x]\n\"é\" = ä", "2:7", "ä"),
        ])
    func quotes(_ text: String, _ place: String, _ value: String) {
        #expect(errors(text) == ["f:\(place): syntax error: the value has no quotes; write \"\(value)\""])
    }

    @Test("may be meant for true or false")
    func booleans() {
        #expect(errors("[websocket]\ncompression = True") == ["f:2:15: syntax error: write true, in small letters"])
        #expect(
            errors("[websocket]\ncompression = off")
                == ["f:2:15: syntax error: off is no value; write false, or in quotes \"off\""])
    }

    @Test(
        "is no explanation for what else is wrong",
        arguments: [
            "[log]\nlevel = ", "[log]\nlevel = \"info", "[log]\nlevel = 'info", "[log\nlevel = 1", "[log]\nlevel info",
            "[server]\nworkers = 04", "[server]\nworkers = 1_", "[channels.room:*]", "a.b = {", "x = [1 2]",
            "[log]\nlevel = \(String(repeating: "x", count: 100))",
        ])
    func others(_ text: String) {
        let found = errors(text)
        #expect(found.count == 1 && found[0].contains("syntax error while"), "\(found)")
    }
}
