import Settings
import Testing

@testable import Configuration

@Suite("Hosts that requests may name")
struct HostPatternTests {
    @Test(
        "cover names, those below one, and addresses, whatever the port",
        arguments: [
            ("example.org", ["example.org", "EXAMPLE.org:8080", "example.org.", "example.org.:80"]),
            ("Example.ORG.", ["example.org"]),
            ("*.example.org", ["a.example.org", "a.b.Example.org:1", "a.example.org."]),
            ("192.0.2.1", ["192.0.2.1", "192.0.2.1:8080"]),
            ("::1", ["[::1]", "[0:0::1]:8080"]), ("[::1]", ["[::1]"]),
            ("localhost", ["localhost:8080"]),
        ])
    func matches(_ pattern: String, _ hosts: [String]) throws {
        let pattern = try HostPattern(parsing: pattern)
        for host in hosts { #expect(pattern.matches(host: host), "\(host)") }
    }

    @Test(
        "cover nothing else",
        arguments: [
            ("example.org", ["", ".", "a.example.org", "example.org.evil", "xexample.org", "example.org:x"]),
            ("example.org", ["example.org:", "example.org..", "example.org/", "user@example.org", " example.org"]),
            ("*.example.org", ["example.org", ".example.org", "xexample.org", "a.example.org.evil.com"]),
            ("192.0.2.1", ["192.0.2.10", "[::ffff:192.0.2.1]"]), ("::1", ["::1", "[::2]", "[::1", "localhost"]),
        ])
    func differs(_ pattern: String, _ hosts: [String]) throws {
        let pattern = try HostPattern(parsing: pattern)
        for host in hosts { #expect(!pattern.matches(host: host), "\(host)") }
    }

    @Test(
        "are refused with the way out where they are none",
        arguments: [
            ("", "\"\" is no host; an example is \"example.org\""),
            ("*", "\"*\": for any host leave the array empty"),
            ("https://a.org:1/x", "\"https://a.org:1/x\" is a URL or an origin; write the host alone, \"a.org\""),
            ("a.org:80", "\"a.org:80\": ports are ignored; write the host alone, \"a.org\""),
            ("*.*.org", "\"*.*.org\": the only wildcard is \"*.\" before a host, as in \"*.example.org\""),
            ("a*.org", "\"a*.org\": the only wildcard is \"*.\" before a host, as in \"*.example.org\""),
            ("*.192.0.2.1", "\"*.192.0.2.1\": an address has no subdomains; leave out \"*.\""),
            ("bücher.org", "\"bücher.org\": write the host as browsers send it, in ASCII, beginning with \"xn--\""),
            ("a..org", "\"a..org\" is no host; write a name, \"*.\" and a name, or an IP address"),
            ("[::1", "\"[::1\" is no host; write a name, \"*.\" and a name, or an IP address"),
        ])
    func refused(_ pattern: String, _ message: String) {
        let text = "[server]\nallowed_hosts = [\"\(pattern)\"]"
        #expect(errors(text) == ["f:2:18: server.allowed_hosts: \(message)"])
    }

    @Test("are none twice")
    func twice() {
        #expect(errors("[server]\nallowed_hosts = [\"a.org\", \"A.org.\"]").count == 1)
    }
}
