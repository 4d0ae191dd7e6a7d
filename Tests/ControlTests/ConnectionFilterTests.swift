import Base
import Control
import Operations
import Testing
import Varlink

@Suite("A filter")
struct ConnectionFilterTests {
    @Test("becomes a selection, and what is no id selects nobody")
    func selection() throws {
        let filter = ConnectionFilter(
            ids: ["8z3k0p5q", "no id"], ip: "10.1.2.3/8", endpoint: "/ws", channel: "lobby", user: "ada")
        let selection = try filter.selection()
        #expect(selection.ids == [try #require(ConnectionID("8z3k0p5q"))])
        #expect(selection.network == IPNetwork("10.0.0.0/8"))
        #expect(selection.endpoint == "/ws" && selection.channel == "lobby" && selection.user == "ada")
        #expect(
            selection.description == "id=8z3k0p5q id=no id ip=10.1.2.3/8 endpoint=/ws channel=lobby user=ada")
        #expect(try ConnectionFilter(ids: ["no id"]).selection().ids == [])
        #expect(try ConnectionFilter().selection().ids == nil)
        #expect(try ConnectionFilter(all: true).selection().description == "all")
    }

    @Test("is refused when its address is none, or when it asks for all and for some")
    func invalid() {
        #expect(throws: ControlError.self) { try ConnectionFilter(ip: "localhost").selection() }
        #expect(throws: ControlError.self) { try ConnectionFilter(ip: "10.0.0.0/8", all: true).selection() }
    }

    @Test(
        "knows whether it narrows anything",
        arguments: [
            (ConnectionFilter(), false), (ConnectionFilter(all: true), false), (ConnectionFilter(ids: []), false),
            (ConnectionFilter(ids: ["1"]), true), (ConnectionFilter(channel: ""), true),
            (ConnectionFilter(ip: "::1"), true),
        ])
    func criteria(_ filter: ConnectionFilter, _ expected: Bool) {
        #expect(filter.hasCriteria == expected)
    }

    @Test("with a member that it doesn't know is an error, not a wider filter")
    func strict() throws {
        #expect(throws: DecodingError.self) {
            try VarlinkJSON.decode(ConnectionFilter.self, from: Array(#"{"all":false,"chanel":"lobby"}"#.utf8))
        }
        let filter = try VarlinkJSON.decode(ConnectionFilter.self, from: Array(#"{"ip":"::1","ids":null}"#.utf8))
        #expect(filter == ConnectionFilter(ip: "::1"))
    }
}
