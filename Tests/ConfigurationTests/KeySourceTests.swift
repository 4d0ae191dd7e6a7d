import Glibc
import Settings
import Testing

@testable import Configuration

@Suite("Where keys are")
struct KeySourceTests {
    @Test("A credential is a file in the directory of the service manager")
    func credential() throws {
        let file = try KeyFile(parsing: "credential:jwt.pem", credentialsDirectory: "/run/credentials/wsd.service")
        #expect(file.path == "/run/credentials/wsd.service/jwt.pem")
        #expect(file.description == "credential:jwt.pem")
        #expect(try KeyFile(parsing: "/etc/jwt.pem", credentialsDirectory: "/run").path == "/etc/jwt.pem")
    }

    @Test("A credential that nobody has passed has no path, and is hidden from who checks")
    func noCredentials() throws {
        let file = try KeyFile(parsing: "credential:jwt", credentialsDirectory: nil)
        #expect(file.path == "" && file.description == "credential:jwt")
        #expect(file.isHiddenCredential == (getenv("CREDENTIALS_DIRECTORY") == nil))
        #expect(try !KeyFile(parsing: "/etc/jwt.pem").isHiddenCredential)
        #expect(errors("[auth]\nmode = \"jwt\"\nhmac_secret_file = \"credential:jwt\"").isEmpty)
    }

    @Test("A credential's name is that of a file", arguments: ["", "a/b", "..", ".", "a:b", "a\nb", "é"])
    func badCredential(name: String) {
        let error = InvalidValue(
            "\(quoted("credential:" + name)) names no credential; "
                + "write \"credential:NAME\" with the name that LoadCredential= gives it")
        #expect(throws: error) { try KeyFile(parsing: "credential:\(name)", credentialsDirectory: "/run") }
    }

    @Test(
        "A key set is a file or an https URL, or an http URL of this machine",
        arguments: [
            "https://login.example.org/.well-known/jwks.json", "https://[2001:db8::1]:8443/k?a=b://c@d", "https://a",
            "http://localhost:8000/k", "http://127.0.0.1/k", "http://[::1]:9/k", "http://[0:0::1]/k",
        ])
    func urls(text: String) throws {
        #expect(try KeySetSource(parsing: text) == .url(text))
        #expect(try KeySetSource(parsing: "/etc/a://b") == .file(KeyFile(parsing: "/etc/a://b")))
    }

    @Test(
        "Another URL is refused with the way out",
        arguments: [
            ("http://login.example.org/k", "leaves this machine, and not by https; write \"https://\""),
            ("http://localhost.example.org/k", "leaves this machine, and not by https; write \"https://\""),
            ("http://127.0.0.2/k", "leaves this machine, and not by https; write \"https://\""),
            ("http://[::2]/k", "leaves this machine, and not by https; write \"https://\""),
            ("http://[::1].example.org/k", "has no host; write \"https://HOST/PATH\""),
            ("https:///k", "has no host; write \"https://HOST/PATH\""),
            ("https://a:0/k", "has no host; write \"https://HOST/PATH\""),
            ("https://a:x/k", "has no host; write \"https://HOST/PATH\""),
            ("file://a/k", "is no URL of https; write \"https://HOST/PATH\""),
            ("HTTPS://a/k", "is no URL of https; write \"https://HOST/PATH\""),
            ("https://a/b c", "holds a character that a URL has as \"%\" and two digits; write it so"),
            ("https://a/é", "holds a character that a URL has as \"%\" and two digits; write it so"),
            ("https://a/b\u{0}", "holds a character that a URL has as \"%\" and two digits; write it so"),
            ("https://a/k#1", "has a fragment, which is not sent; leave out \"#\" and what follows"),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue("\(quoted(text)) \(error)")) { try KeySetSource(parsing: text) }
    }

    @Test(
        "A password in a URL stays out of the message",
        arguments: ["https://u:hunter2@a/k", "http://localhost:hunter2@a/"])
    func user(text: String) {
        do throws(InvalidValue) {
            _ = try KeySetSource(parsing: text)
            Issue.record("it was accepted")
        } catch {
            #expect(error.description.hasPrefix("the URL names a user") && !error.description.contains("hunter2"))
        }
    }
}
