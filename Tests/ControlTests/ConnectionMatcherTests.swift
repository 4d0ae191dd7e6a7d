import Control
import Testing
import Varlink

@Suite("A filter")
struct ConnectionMatcherTests {
    private let connection = ConnectionInfo(
        id: "0.1.2", address: "192.0.2.7", port: 4242, endpoint: "/ws", protocol: "relay", channels: ["lobby", "news"],
        user: "ada", connectedSince: "2026-11-23T20:57:32.015Z", idleSeconds: 1, messagesIn: 0, messagesOut: 0,
        bytesIn: 0, bytesOut: 0, queuedBytes: 0, droppedMessages: 0, state: .open)

    @Test(
        "selects what all of it holds for",
        arguments: [
            ConnectionFilter(), ConnectionFilter(all: true), ConnectionFilter(ids: ["9.9.9", "0.1.2"]),
            ConnectionFilter(ip: "192.0.2.0/24"), ConnectionFilter(ip: "::ffff:192.0.2.7"),
            ConnectionFilter(channel: "news"), ConnectionFilter(endpoint: "/ws", user: "ada"),
            ConnectionFilter(ids: ["0.1.2"], ip: "192.0.2.7", endpoint: "/ws", channel: "lobby", user: "ada"),
        ])
    func selects(_ filter: ConnectionFilter) throws {
        #expect(try ConnectionMatcher(filter).matches(connection))
    }

    @Test(
        "doesn't select what some of it doesn't hold for",
        arguments: [
            ConnectionFilter(ids: []), ConnectionFilter(ids: ["0.1"]), ConnectionFilter(ip: "192.0.3.0/24"),
            ConnectionFilter(ip: "2001:db8::/32"), ConnectionFilter(channel: "Lobby"), ConnectionFilter(endpoint: "/"),
            ConnectionFilter(user: "bob"), ConnectionFilter(ids: ["0.1.2"], channel: "other"),
            ConnectionFilter(ids: [], channel: "lobby"),
        ])
    func rejects(_ filter: ConnectionFilter) throws {
        #expect(try !ConnectionMatcher(filter).matches(connection))
    }

    @Test("selects nobody by a user when a connection has none")
    func noUser() throws {
        var anonymous = connection
        anonymous.user = nil
        #expect(try !ConnectionMatcher(ConnectionFilter(user: "")).matches(anonymous))
    }

    @Test("is refused when its address is none, or when it asks for all and for some")
    func invalid() {
        #expect(throws: ControlError.self) { try ConnectionMatcher(ConnectionFilter(ip: "localhost")) }
        #expect(throws: ControlError.self) { try ConnectionMatcher(ConnectionFilter(ip: "10.0.0.0/8", all: true)) }
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
