import Testing

@testable import Configuration

@Suite("Ranges of addresses")
struct CIDRTests {
    @Test(
        "contain the addresses with their prefix",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("192.0.2.2/31", "192.0.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("10.0.0.0/8", "::ffff:11.1.2.3", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true), ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true), ("::1", "127.0.0.1", false), ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false), ("::/0", "::ffff:10.0.0.1", false), ("fe80::/10", "fe80::1", true),
            ("0.0.0.0/0", "::1", false), ("2001:db8::1/128", "2001:db8::1", true),
        ])
    func contains(range: String, address: String, expected: Bool) throws {
        let address = try #require(IPAddress(address))
        #expect(try CIDR(parsing: range).contains(address) == expected)
    }

    @Test(
        "that are none are refused with the way out",
        arguments: [
            ("", "\"\" is no range of addresses; examples are \"10.0.0.0/8\", \"2001:db8::/32\" and \"127.0.0.1\""),
            (
                "example.org",
                "\"example.org\" is no range of addresses; examples are \"10.0.0.0/8\", \"2001:db8::/32\" and \"127.0.0.1\""
            ),
            (
                "10.0.0/8",
                "\"10.0.0/8\" is no range of addresses; examples are \"10.0.0.0/8\", \"2001:db8::/32\" and \"127.0.0.1\""
            ),
            ("10.0.0.0/33", "\"10.0.0.0/33\": the length of the prefix is a number from 0 to 32"),
            ("10.0.0.0/", "\"10.0.0.0/\": the length of the prefix is a number from 0 to 32"),
            ("10.0.0.0/+8", "\"10.0.0.0/+8\": the length of the prefix is a number from 0 to 32"),
            ("::/129", "\"::/129\": the length of the prefix is a number from 0 to 128"),
            ("10.0.0.1/8", "\"10.0.0.1/8\" has bits beyond its prefix; write \"10.0.0.0/8\""),
            ("2001:db8::1/32", "\"2001:db8::1/32\" has bits beyond its prefix; write \"2001:db8::/32\""),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue(error)) { try CIDR(parsing: text) }
    }

    @Test("print as they are read", arguments: ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::/0", "192.0.2.1/32"])
    func printed(text: String) throws {
        #expect(try CIDR(parsing: text).description == text)
    }

    @Test("Addresses are numbers with a canonical text")
    func addresses() {
        #expect(IPAddress("192.0.2.1") == .v4(0xC000_0201))
        #expect(IPAddress("::1") == .v6(1))
        #expect(IPAddress("2001:DB8:0:0::1")?.description == "2001:db8::1")
        #expect(IPAddress("::ffff:192.0.2.1")?.unmapped == .v4(0xC000_0201))
        #expect(IPAddress("192.0.2.1")?.bytes == [192, 0, 2, 1])
        #expect(IPAddress("192.0.2.1\u{0}") == nil)
        #expect(IPAddress("192.0.2.01") == nil)
    }
}
