import Settings
import Testing

@testable import Configuration

@Suite("Addresses to listen on")
struct ListenAddressTests {
    @Test(
        "are read, and printed in one form",
        arguments: [
            ("[::]:8080", "[::]:8080"), (":8080", "[::]:8080"), ("0.0.0.0:80", "0.0.0.0:80"),
            ("127.0.0.1:0", "127.0.0.1:0"), ("localhost:65535", "127.0.0.1:65535"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
            ("[::ffff:192.0.2.1]:80", "[::ffff:192.0.2.1]:80"),
        ])
    func read(text: String, printed: String) throws {
        let address = try ListenAddress(parsing: text)
        #expect(address.description == printed)
        #expect(try ListenAddress(parsing: printed) == address)
    }

    @Test(
        "that are none are refused with the way out",
        arguments: [
            ("", "\"\" has no port; give an address and a port such as \"[::]:8080\""),
            ("8080", "\"8080\" has no colon; for port 8080 on all addresses write \":8080\""),
            ("127.0.0.1", "\"127.0.0.1\" has no port; give an address and a port such as \"[::]:8080\""),
            ("[::1]", "\"[::1]\" has no port; write \"[::1]:8080\""),
            ("::1", "\"::1\": an IPv6 address stands in brackets, as in \"[::1]:8080\""),
            ("::1:80", "\"::1:80\": an IPv6 address stands in brackets, as in \"[::1]:80\""),
            ("*:80", "\"*:80\": write \"[::]\" for all addresses, or \"0.0.0.0\" for those of IPv4"),
            (
                "example.org:80",
                "\"example.org:80\": \"example.org\" is a host name; give the address itself, or \"localhost\""
            ),
            ("1.2.3:80", "\"1.2.3:80\": \"1.2.3\" is no IP address; examples are \"[::]:8080\" and \"127.0.0.1:8080\""),
            ("[1.2.3.4]:80", "\"[1.2.3.4]:80\": \"1.2.3.4\" is no IPv6 address; an example is \"[::1]:8080\""),
            ("[fe80::1%eth0]:80", "\"[fe80::1%eth0]:80\" has a zone, which only a socket passed by systemd can have"),
            ("[::]:65536", "\"[::]:65536\": \"65536\" is no port; give a number from 0 to 65535"),
            ("[::]:", "\"[::]:\": \"\" is no port; give a number from 0 to 65535"),
            ("[::]:http", "\"[::]:http\": \"http\" is no port; give a number from 0 to 65535"),
            ("[::]:+80", "\"[::]:+80\": \"+80\" is no port; give a number from 0 to 65535"),
            (
                "unix:/run/wsd",
                "\"unix:/run/wsd\" is a Unix socket; give an address and a port such as \"127.0.0.1:8080\""
            ),
            ("ws://127.0.0.1:80", "\"ws://127.0.0.1:80\" is a URL; give an address and a port such as \"[::]:8080\""),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue(error)) { try ListenAddress(parsing: text) }
    }
}
