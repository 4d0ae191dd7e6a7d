import Base
import Testing

@Suite("An IP address")
struct IPAddressTests {
    @Test("is 16 bytes and nothing to count")
    func size() {
        #expect(MemoryLayout<IPAddress>.size == 16)
        #expect(_isPOD(IPAddress.self))
    }

    @Test(
        "has a canonical text",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::1", "::1"), ("::", "::"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
        ])
    func text(written: String, text: String) {
        #expect(IPAddress(written)?.description == text)
    }

    @Test(
        "is not read from anything else",
        arguments: ["", "192.0.2.01", "192.0.2.1\u{0}", "[::1]", "::1%lo", " ::1", "192.0.2", "example.org"])
    func malformed(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("may stand in brackets in a header")
    func brackets() {
        #expect(IPAddress(perhapsInBrackets: "[2001:db8::1]") == IPAddress("2001:db8::1"))
        #expect(IPAddress(perhapsInBrackets: "192.0.2.1") == IPAddress(v4: 0xC000_0201))
        #expect(IPAddress(perhapsInBrackets: "[]") == nil)
        #expect(IPAddress(perhapsInBrackets: "[") == nil)
    }

    @Test("is its bytes in network order")
    func bytes() {
        #expect(IPAddress("192.0.2.1")?.bytes == [192, 0, 2, 1])
        #expect(IPAddress("::1")?.bytes == [UInt8](repeating: 0, count: 15) + [1])
        #expect(IPAddress("192.0.2.1")?.ipv6Text == "::ffff:192.0.2.1")
    }

    @Test("is known to be of this machine or of a private network")
    func kinds() throws {
        for text in ["127.0.0.1", "127.9.9.9", "::1"] { #expect(IPAddress(text)?.isLoopback == true) }
        for text in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "fd00::1", "fe80::1"] {
            #expect(IPAddress(text)?.isPrivate == true && IPAddress(text)?.isLoopback == false)
        }
        for text in ["192.0.2.1", "172.32.0.1", "2001:db8::1"] { #expect(IPAddress(text)?.isPrivate == false) }
        #expect(IPAddress("2001:db8::1:2:3:4")?.client == IPAddress("2001:db8::"))
        #expect(IPAddress("192.0.2.1")?.client == IPAddress("192.0.2.1"))
        #expect(IPAddress.none.description == "unix")
    }
}
