import Testing

@testable import Configuration

@Suite("A near miss is answered with what was meant")
struct SuggestionTests {
    @Test(
        "In the file",
        arguments: [
            (
                "[server]\nmax_conections = 1",
                "2:1: unknown key \"max_conections\" in [server]; did you mean \"max_connections\"?"
            ),
            (
                "[server]\nmax-connections = 1",
                "2:1: unknown key \"max-connections\" in [server]; did you mean \"max_connections\"?"
            ),
            ("[server]\nLISTEN = 1", "2:1: unknown key \"LISTEN\" in [server]; did you mean \"listen\"?"),
            ("[server]\ncompression = true", "2:1: unknown key \"compression\" in [server]; it belongs in [websocket]"),
            (
                "[server]\ncompresion = true",
                "2:1: unknown key \"compresion\" in [server]; did you mean \"compression\" in [websocket]?"
            ),
            ("workers = 1", "1:1: unknown key \"workers\" outside of the tables; it belongs in [server]"),
            ("listen = 1", "1:1: unknown key \"listen\" outside of the tables; it belongs in [server] or [api]"),
            ("sever.workers = 1", "1:1: unknown table \"sever\"; did you mean [server]?"),
            ("[[endpoints]]", "1:3: unknown table \"endpoints\"; did you mean [[endpoint]]?"),
            (
                "[[endpoint]]\npath = \"/a\"\nchanel = \"b\"",
                "3:1: unknown key \"chanel\" in [[endpoint]]; did you mean \"channel\"?"
            ),
            (
                "[queue]\npolicy = \"drop_oldest\"",
                "2:10: queue.policy: \"drop_oldest\" is unknown; did you mean \"drop-oldest\"? There are \"disconnect\", \"drop-oldest\" and \"drop-newest\""
            ),
            (
                "[log]\nlevel = \"warn\"",
                "2:9: log.level: \"warn\" is unknown; did you mean \"warning\"? There are \"trace\", \"debug\", \"info\", \"notice\", \"warning\", \"error\" and \"critical\""
            ),
            (
                "[queue]\nxyzzy = 1",
                "2:1: unknown key \"xyzzy\" in [queue]; there are \"limit\", \"policy\" and \"write_timeout\""
            ),
            (
                "[xyzzy]",
                "1:2: unknown table \"xyzzy\"; there are [server], [tls], [websocket], [queue], [limits], [drain], [restart], [[endpoint]], [channels.\"PATTERN\"], [auth], [control], [api], [broker], [[consume]], [log]"
            ),
        ])
    func nearMisses(text: String, error: String) {
        #expect(errors(text) == ["f:\(error)"])
    }

    @Test("The keys of an unknown table are not reported beside it")
    func once() {
        #expect(errors("[sever]\nworkers = 1\nlisten = 2").count == 1)
    }

    @Test("Distances count letters added, dropped, replaced and swapped")
    func distances() {
        #expect(Suggestion.distance(from: "", to: "abc") == 3)
        #expect(Suggestion.distance(from: "abc", to: "abc") == 0)
        #expect(Suggestion.distance(from: "abc", to: "acb") == 1)
        #expect(Suggestion.distance(from: "kitten", to: "sitting") == 3)
        #expect(Suggestion.nearest(to: "zzz", among: ["listen", "workers"]) == nil)
        #expect(Suggestion.nearest(to: String(repeating: "x", count: 100_000), among: ["listen"]) == nil)
    }
}
