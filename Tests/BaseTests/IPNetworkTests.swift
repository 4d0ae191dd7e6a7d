import Base
import Testing

@Suite("An address or a network")
struct IPNetworkTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    @Test(
        "contains what its leading bits agree with",
        arguments: [
            ("10.0.0.0/8", "10.255.255.255"), ("10.1.2.3/8", "10.9.9.9"), ("192.0.2.128/25", "192.0.2.200"),
            ("0.0.0.0/0", "203.0.113.9"), ("192.0.2.7", "192.0.2.7"), ("192.0.2.7/32", "::ffff:192.0.2.7"),
            ("2001:db8::/32", "2001:db8:1::1"), ("2001:DB8::1", "2001:db8:0::1"), ("::/0", "192.0.2.1"),
            ("2001:db8::8000/113", "2001:db8::ffff"), ("::ffff:10.0.0.0/104", "10.2.3.4"),
            ("192.0.2.2/31", "192.0.2.3"), ("fe80::/10", "fe80::1"),
        ])
    func contains(_ network: String, _ member: String) throws {
        #expect(try #require(IPNetwork(network)).contains(address(member)))
    }

    @Test(
        "contains nothing else",
        arguments: [
            ("10.0.0.0/8", "11.0.0.0"), ("192.0.2.128/25", "192.0.2.127"), ("0.0.0.0/0", "2001:db8::1"),
            ("192.0.2.7", "192.0.2.8"), ("2001:db8::/32", "2001:db9::"), ("::1", "127.0.0.1"),
        ])
    func excludes(_ network: String, _ other: String) throws {
        #expect(try !#require(IPNetwork(network)).contains(address(other)))
    }

    @Test(
        "of IPv6 may be meant to have no addresses of IPv4",
        arguments: [
            ("::/0", "2001:db8::1", true), ("::/0", "10.0.0.1", false), ("::/0", "::ffff:10.0.0.1", false),
            ("::ffff:0:0/90", "10.0.0.1", false), ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("10.0.0.0/8", "::ffff:11.1.2.3", false),
            ("0.0.0.0/0", "::1", false), ("0.0.0.0/0", "192.0.2.1", true),
        ])
    func families(network: String, other: String, expected: Bool) throws {
        #expect(try #require(IPNetwork(network)).containsOfItsFamily(address(other)) == expected)
    }

    @Test(
        "is not read from anything else",
        arguments: [
            ("", .address), ("localhost", .address), ("10.0.0.0/33", .prefixLength(most: 32)),
            ("::/129", .prefixLength(most: 128)), ("10.0.0.0/", .prefixLength(most: 32)),
            ("10.0.0.0/-1", .prefixLength(most: 32)), ("10.0.0.0/+8", .prefixLength(most: 32)),
            ("10.0.0.0/8/8", .address), ("10.0.0", .address), ("300.0.0.1", .address), ("fe80::1%eth0", .address),
            (" 10.0.0.1", .address), ("/8", .address), ("10.0.0.1\u{0}/8", .address), ("[::1]", .address),
            ("::ffff:10.0.0.0/129", .prefixLength(most: 128)),
        ] as [(String, IPNetwork.Malformed)])
    func malformed(text: String, error: IPNetwork.Malformed) {
        #expect(IPNetwork(text) == nil)
        #expect(throws: error) { try IPNetwork(strictly: text) }
    }

    @Test(
        "with bits beyond its prefix is read only if that doesn't matter",
        arguments: [
            ("10.0.0.1/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1/104", "::ffff:10.0.0.0/104"), ("::ffff:10.0.0.1/64", "::/64"),
        ])
    func bitsBeyond(text: String, meant: String) throws {
        #expect(throws: IPNetwork.Malformed.bitsBeyondPrefix(meant: meant)) { try IPNetwork(strictly: text) }
        #expect(try IPNetwork(text) == IPNetwork(strictly: meant))
    }

    @Test("prints as it is read", arguments: ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::/0", "192.0.2.1/32"])
    func printed(text: String) throws {
        #expect(try IPNetwork(strictly: text).description == text)
        #expect(IPNetwork("::ffff:10.0.0.0/104")?.description == "10.0.0.0/8")
    }
}
