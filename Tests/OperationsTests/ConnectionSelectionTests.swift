import Base
import Operations
import Testing

@Suite("A selection of connections")
struct ConnectionSelectionTests {
    private static let id = ConnectionID(worker: 1, slot: 2, number: 3)
    private static let other = ConnectionID(worker: 1, slot: 2, number: 4)
    private let connection = ConnectionRow(
        id: id, address: IPAddress(v4: 0xC000_0207), port: 4242, endpoint: "/ws", protocol: "json",
        channels: ["lobby", "news"], user: "Kim", connectedSince: Timestamp(millisecondsSinceEpoch: 0), idleSeconds: 1,
        messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, queuedBytes: 0, droppedMessages: 0, state: .open)

    /// The event of the same connection.
    private var event: Event {
        var event = Event(.close, millisecondsSinceEpoch: 0)
        (event.id, event.address, event.endpoint) = (connection.id, connection.address, connection.endpoint)
        (event.user, event.channels) = (connection.user, connection.channels)
        return event
    }

    @Test(
        "selects the connections and the events that all of it matches",
        arguments: [
            ConnectionSelection(), ConnectionSelection(ids: [other, id]),
            ConnectionSelection(network: IPNetwork("192.0.2.0/24")),
            ConnectionSelection(network: IPNetwork("::ffff:192.0.2.7")),
            ConnectionSelection(network: IPNetwork("::/0")),
            ConnectionSelection(channel: "news"), ConnectionSelection(endpoint: "/ws", user: "Kim"),
            ConnectionSelection(exceptAddress: IPAddress("192.0.2.8")),
            ConnectionSelection(
                ids: [id], network: IPNetwork("192.0.2.7"), endpoint: "/ws", channel: "lobby", user: "Kim"),
        ])
    func selects(_ selection: ConnectionSelection) {
        #expect(selection.selects(connection))
        #expect(selection.selects(event))
    }

    @Test(
        "selects no others",
        arguments: [
            ConnectionSelection(ids: []), ConnectionSelection(ids: [other]),
            ConnectionSelection(network: IPNetwork("192.0.3.0/24")),
            ConnectionSelection(network: IPNetwork("2001:db8::/32")), ConnectionSelection(channel: "Lobby"),
            ConnectionSelection(endpoint: "/"), ConnectionSelection(user: "bob"),
            ConnectionSelection(ids: [id], channel: "other"), ConnectionSelection(ids: [], channel: "lobby"),
            ConnectionSelection(exceptAddress: IPAddress("192.0.2.7")),
        ])
    func rejects(_ selection: ConnectionSelection) {
        #expect(!selection.selects(connection))
        #expect(!selection.selects(event))
    }

    @Test("compares names by their bytes: the sign for Kelvin is no K")
    func bytes() {
        #expect("Kim" == "\u{212A}im")
        var (row, event) = (connection, event)
        (row.user, event.user) = ("\u{212A}im", "\u{212A}im")
        (row.channels, event.channels) = (["e\u{301}"], ["e\u{301}"])
        (row.endpoint, event.endpoint) = ("/\u{212A}", "/\u{212A}")
        for selection in [
            ConnectionSelection(user: "Kim"), ConnectionSelection(channel: "é"), ConnectionSelection(endpoint: "/K"),
        ] {
            #expect(!selection.selects(row))
            #expect(!selection.selects(event))
        }
        let same = ConnectionSelection(endpoint: "/\u{212A}", channel: "e\u{301}", user: "\u{212A}im")
        #expect(same.selects(row) && same.selects(event))
    }

    @Test("with a criterion doesn't select an event that tells nothing about it")
    func unknown() {
        let event = Event(.reload, millisecondsSinceEpoch: 0)
        #expect(ConnectionSelection().selects(event))
        for selection in [
            ConnectionSelection(ids: [Self.id]), ConnectionSelection(network: IPNetwork("::/0")),
            ConnectionSelection(endpoint: ""), ConnectionSelection(channel: ""), ConnectionSelection(user: ""),
        ] {
            #expect(!selection.selects(event))
        }
    }
}
