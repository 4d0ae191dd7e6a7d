import Settings
import Testing

@testable import Configuration

@Suite("Origin patterns")
struct OriginPatternTests {
    @Test(
        "match what they name",
        arguments: [
            ("*", "https://example.org", true), ("*", "null", true), ("*", "no origin", true),
            ("null", "null", true), ("null", "https://null", false),
            ("https://example.org", "https://example.org", true), ("https://example.org", "HTTPS://Example.ORG", true),
            ("HTTPS://Example.ORG", "https://example.org", true),
            ("https://example.org", "https://example.org:443", true),
            ("https://example.org:443", "https://example.org", true),
            ("https://example.org", "http://example.org", false),
            ("https://example.org", "https://example.org:8443", false),
            ("http://example.org", "http://example.org:80", true),
            ("https://example.org:8443", "https://example.org:8443", true), ("https://example.org", "null", false),
            ("https://example.org", "https://example.org.evil.net", false),
            ("https://example.org", "https://example.org/", false),
            ("https://example.org", "https://a.example.org", false), ("https://example.org", "", false),
            ("https://example.org", "https://example.org@evil.net", false),
            ("https://*.example.org", "https://a.example.org", true),
            ("https://*.example.org", "https://A.B.Example.org", true),
            ("https://*.example.org", "https://example.org", false),
            ("https://*.example.org", "https://.example.org", false),
            ("https://*.example.org", "https://evilexample.org", false),
            ("https://*.example.org", "http://a.example.org", false),
            ("https://*.example.org", "https://a.example.org:8443", false),
            ("https://*.example.org", "https://a.example.org:443", true),
            ("https://*.example.org:8443", "https://a.example.org:8443", true),
            ("https://*.example.org", "https://evil.net/a.example.org", false),
            ("https://*.example.org", "https://evil.net?.example.org", false),
            ("https://*.example.org", "https://evil.net#.example.org", false),
            ("http://[::1]:3000", "http://[0:0::1]:3000", true), ("http://127.0.0.1", "http://127.0.0.1", true),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("chrome-extension://abcdef", "chrome-extension://abcdef", true),
            ("capacitor://localhost", "capacitor://localhost:80", false),
        ])
    func matches(pattern: String, origin: String, expected: Bool) throws {
        #expect(try OriginPattern(parsing: pattern).matches(origin: origin) == expected)
    }

    @Test(
        "that are malformed are refused, and say which part is",
        arguments: [
            ("", "\"\" is no origin; an example is \"https://example.org\", and \"*\" is any"),
            ("example.org", "\"example.org\" has no scheme; write \"https://example.org\""),
            (
                "https://example.org/",
                "\"https://example.org/\" goes on after the host; an origin ends there: \"https://example.org\""
            ),
            (
                "https://example.org/a?b",
                "\"https://example.org/a?b\" goes on after the host; an origin ends there: \"https://example.org\""
            ),
            (
                "https://me@example.org",
                "\"https://me@example.org\" names a user; an origin is a scheme, a host and perhaps a port"
            ),
            (
                "https://bücher.example",
                "\"https://bücher.example\": write the host as browsers send it, in ASCII, beginning with \"xn--\""
            ),
            (
                "https://*",
                "\"https://*\": the only wildcard is \"*.\" before a host, as in \"https://*.example.org\", or \"*\" alone"
            ),
            (
                "https://a.*.org",
                "\"https://a.*.org\": the only wildcard is \"*.\" before a host, as in \"https://*.example.org\", or \"*\" alone"
            ),
            (
                "https://*.*.org",
                "\"https://*.*.org\": the only wildcard is \"*.\" before a host, as in \"https://*.example.org\", or \"*\" alone"
            ),
            (
                "https://*.",
                "\"https://*.\" is no origin; write scheme, host and perhaps port: \"https://example.org:8443\""
            ),
            (
                "*://example.org",
                "\"*://example.org\" is no origin; write scheme, host and perhaps port: \"https://example.org:8443\""
            ),
            (
                "https://example.org:0",
                "\"https://example.org:0\" is no origin; write scheme, host and perhaps port: \"https://example.org:8443\""
            ),
            (
                "https://example.org:",
                "\"https://example.org:\" is no origin; write scheme, host and perhaps port: \"https://example.org:8443\""
            ),
            (
                "https://",
                "\"https://\" is no origin; write scheme, host and perhaps port: \"https://example.org:8443\""
            ),
            (
                "https://a..b",
                "\"https://a..b\" is no origin; write scheme, host and perhaps port: \"https://example.org:8443\""
            ),
            ("https://*.127.0.0.1", "\"https://*.127.0.0.1\": an address has no subdomains; leave out \"*.\""),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue(error)) { try OriginPattern(parsing: text) }
    }

    @Test("are equal when they match the same, and print as they were written")
    func equality() throws {
        let pattern = try OriginPattern(parsing: "HTTPS://Example.org:443")
        #expect(try pattern == OriginPattern(parsing: "https://example.org"))
        #expect(try pattern.hashValue == OriginPattern(parsing: "https://example.org").hashValue)
        #expect(pattern.description == "HTTPS://Example.org:443")
    }
}
