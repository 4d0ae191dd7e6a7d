import Control
import Testing

@Suite("An address or a network")
struct AddressPrefixTests {
    @Test(
        "contains what its leading bits agree with",
        arguments: [
            ("10.0.0.0/8", "10.255.255.255"), ("10.1.2.3/8", "10.9.9.9"), ("192.0.2.128/25", "192.0.2.200"),
            ("0.0.0.0/0", "203.0.113.9"), ("192.0.2.7", "192.0.2.7"), ("192.0.2.7/32", "::ffff:192.0.2.7"),
            ("2001:db8::/32", "2001:db8:1::1"), ("2001:DB8::1", "2001:db8:0::1"), ("::/0", "192.0.2.1"),
            ("2001:db8::8000/113", "2001:db8::ffff"), ("::ffff:10.0.0.0/104", "10.2.3.4"),
        ])
    func contains(_ network: String, _ address: String) throws {
        #expect(try #require(AddressPrefix(network)).contains(address))
    }

    @Test(
        "contains nothing else",
        arguments: [
            ("10.0.0.0/8", "11.0.0.0"), ("192.0.2.128/25", "192.0.2.127"), ("0.0.0.0/0", "2001:db8::1"),
            ("192.0.2.7", "192.0.2.8"), ("2001:db8::/32", "2001:db9::"), ("10.0.0.0/8", "10.0.0"), ("::/0", "unix"),
        ])
    func excludes(_ network: String, _ address: String) throws {
        #expect(try !#require(AddressPrefix(network)).contains(address))
    }

    @Test("takes an address as two numbers, as a hub has it")
    func numbers() throws {
        let network = try #require(AddressPrefix("192.0.2.0/24"))
        #expect(network.contains(high: 0, low: 0xFFFF_C000_0263))
        #expect(!network.contains(high: 0, low: 0xFFFF_C000_0363))
        #expect(!network.contains(high: 1, low: 0xFFFF_C000_0263))
    }

    @Test(
        "is not read from anything else",
        arguments: [
            "", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
            "10.0.0",
            "300.0.0.1", "fe80::1%eth0", " 10.0.0.1", "/8",
        ])
    func invalid(_ text: String) {
        #expect(AddressPrefix(text) == nil)
    }
}
