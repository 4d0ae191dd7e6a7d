import Settings
import Testing

@testable import Configuration

@Suite("Who clients are")
struct AuthTests {
    private func auth(_ text: String) throws -> Settings.Auth {
        try loaded("[auth]\n\(text)").configuration.auth
    }

    @Test("Tokens are checked with any of three kinds of keys")
    func keys() throws {
        var expected = Settings().auth
        expected.mode = .jwt
        expected.hmacSecretFile = try KeyFile(parsing: "/etc/wsd/secret")
        #expect(try auth("mode = \"jwt\"\nhmac_secret_file = \"/etc/wsd/secret\"") == expected)
        expected.hmacSecretFile = nil
        expected.publicKeyFiles = [try KeyFile(parsing: "/a.pem"), try KeyFile(parsing: "/b.pem")]
        #expect(try auth("mode = \"jwt\"\npublic_key_files = [\"/a.pem\", \"/b.pem\"]") == expected)
        expected.publicKeyFiles = []
        expected.jwks = .url("https://a.example/jwks")
        expected.issuer = "i"
        expected.audience = "a"
        expected.leeway = .zero
        expected.maxLifetime = .zero
        expected.requireExpiry = true
        expected.cookie = "token"
        expected.refreshGrace = .seconds(3600)
        let rest = "issuer = \"i\"\naudience = \"a\"\nleeway = \"0s\"\ncookie = \"token\"\nrefresh_grace = \"1h\""
        let lifetimes = "max_lifetime = \"0s\"\nrequire_exp = true"
        #expect(try auth("mode = \"jwt\"\njwks = \"https://a.example/jwks\"\n\(rest)\n\(lifetimes)") == expected)
    }

    @Test("The mode jwt without a key is an error that names the three, unless one of them is wrong by itself")
    func needsKey() {
        let error =
            "auth.mode: \"jwt\" needs a key to check tokens with; give one or more of auth.hmac_secret_file, "
            + "auth.public_key_files and auth.jwks"
        #expect(errors("[auth]\nmode = \"jwt\"") == ["f:2:1: \(error)"])
        #expect(errors("[auth]\nmode = \"jwt\"\njwks = \"\"\npublic_key_files = []") == ["f:2:1: \(error)"])
        #expect(errors("[auth]\nmode = \"jwt\"", "[auth]\nissuer = \"i\"") == ["f1:2:1: \(error)"])
        #expect(errors("[auth]\nmode = \"jwt\"", "[auth]\njwks = \"/keys\"").isEmpty)
        #expect(errors("[auth]\nmode = \"jwt\"\njwks = \"keys\"").map { $0.prefix(7) } == ["f:3:8: "])
    }

    @Test(
        "What has no effect without the mode jwt is an error",
        arguments: [
            ("hmac_secret_file", "\"/s\""), ("public_key_files", "[\"/p\"]"), ("jwks", "\"/j\""),
            ("issuer", "\"i\""), ("audience", "\"a\""), ("require_exp", "true"), ("cookie", "\"c\""),
        ])
    func withoutEffect(key: String, value: String) {
        let error =
            "auth.\(key): nobody is asked for a token, so it has no effect; set auth.mode = \"jwt\", or leave it out"
        #expect(errors("[auth]\n\(key) = \(value)") == ["f:2:1: \(error)"])
        #expect(errors("[auth]\nmode = \"none\"\n\(key) = \(value)") == ["f:3:1: \(error)"])
        #expect(errors("[auth]\nmode = \"jwtt\"\n\(key) = \(value)").map { $0.prefix(7) } == ["f:2:8: "])
        let rest = "leeway = \"1m\"\nmax_lifetime = \"1h\"\nrequire_exp = false\nrefresh_grace = \"1m\""
        #expect(errors("[auth]\nmode = \"none\"\n\(rest)").isEmpty)
    }

    @Test(
        "A value that is wrong by itself",
        arguments: [
            (
                "hmac_secret_file = \"secret\"",
                "2:20: auth.hmac_secret_file: \"secret\" is not absolute; write it from \"/\" on, "
                    + "or \"credential:NAME\" for a credential"
            ),
            (
                "hmac_secret_file = \"/etc/\"",
                "2:20: auth.hmac_secret_file: \"/etc/\" names no file; a path has no \"/\" at its end and no NUL"
            ),
            (
                "hmac_secret_file = [\"/s\"]",
                "2:20: auth.hmac_secret_file: got an array; give an absolute path in quotes, "
                    + "such as hmac_secret_file = \"/etc/wsd/jwt.secret\""
            ),
            (
                "public_key_files = \"/p\"",
                "2:20: auth.public_key_files: got the string \"/p\"; give an array of paths, "
                    + "such as public_key_files = [\"/etc/wsd/jwt.pem\"]"
            ),
            (
                "public_key_files = [\"/p\", \"/p\"]",
                "2:27: auth.public_key_files: \"/p\" is there twice; leave one out"
            ),
            (
                "public_key_files = [\"\"]",
                "2:21: auth.public_key_files: \"\" is not absolute; write it from \"/\" on, "
                    + "or \"credential:NAME\" for a credential"
            ),
            (
                "jwks = \"ftp://a/b\"",
                "2:8: auth.jwks: \"ftp://a/b\" is no URL of https; write \"https://HOST/PATH\""
            ),
            (
                "issuer = 1",
                "2:10: auth.issuer: got the integer 1; give a string, such as issuer = \"https://login.example.org\""
            ),
            (
                "cookie = \"a b\"",
                "2:10: auth.cookie: \"a b\" is no name of a cookie; it may have letters, digits "
                    + "and any of !#$%&'*+-.^_`|~"
            ),
            (
                "refresh_grace = \"0s\"",
                "2:17: auth.refresh_grace: \"0s\" is out of range; give a duration from \"1s\" to \"1h\""
            ),
        ])
    func wrong(text: String, error: String) {
        #expect(errors("[auth]\n\(text)") == ["f:\(error)"])
    }

    @Test(
        "A cookie's name is a token", arguments: ["__Host-token", "a.b", "!#$%&'*+-.^_`|~", "0"])
    func cookie(name: String) throws {
        #expect(try CookieName.parse(name) == name)
        for bad in ["\(name)=", "\(name);", " \(name)", "\"\(name)\"", "\(name)é", "\(name)\u{7F}"] {
            #expect(throws: InvalidValue.self) { try CookieName.parse(bad) }
        }
    }
}
