import Testing

@testable import Engine

@Suite struct ConnectionIDTests {
    @Test func textRoundTrips() {
        let id = ConnectionID(worker: 3, slot: 17, generation: 52_311)
        #expect(id.description == "3.17.52311")
        #expect(ConnectionID("3.17.52311") == id)
    }

    @Test(arguments: ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.-3", "70000.1.1", "1..2"])
    func whatIsNoIDIsRefused(_ text: String) {
        #expect(ConnectionID(text) == nil)
    }
}
