import JWTKit
import Testing

@testable import Authentication

/// What is taken for a key, and what an operator is told otherwise.
@Suite("Keys")
struct KeyTests {
    private func names(_ set: String, allowsSecrets: Bool = true) async throws -> [[String]] {
        try await KeySet(json: Array(set.utf8), allowsSecrets: allowsSecrets, from: "here").keys
            .map { $0.algorithms.keys.sorted() }
    }

    @Test("A key serves the algorithms of its type, or the one that it names")
    func algorithms() async throws {
        let curves = [
            "P-256": (ES256PrivateKey().publicKey.parameters!, "ES256"),
            "P-384": (ES384PrivateKey().publicKey.parameters!, "ES384"),
            "P-521": (ES512PrivateKey().publicKey.parameters!, "ES512"),
        ]
        for (curve, (point, name)) in curves {
            let key = #""kty":"EC","crv":"\#(curve)","x":"\#(point.x)","y":"\#(point.y)""#
            #expect(try await names(#"{"keys":[{\#(key)}]}"#) == [[name]])
            #expect(try await names(#"{"keys":[{\#(key),"alg":"\#(name)","use":"sig"}]}"#) == [[name]])
            await #expect(throws: KeyError.self) { try await names(#"{"keys":[{\#(key),"alg":"HS256"}]}"#) }
            await #expect(throws: KeyError.self) { try await names(#"{"keys":[{\#(key),"use":"enc"}]}"#) }
        }
        let secret = String(repeating: "A", count: 64)
        #expect(try await names(#"{"keys":[{"kty":"oct","k":"\#(secret)"}]}"#) == [["HS256", "HS384"]])
        #expect(try await names(#"{"keys":[{"kty":"oct","k":"\#(secret)","alg":"HS384"}]}"#) == [["HS384"]])
    }

    @Test("What anybody can fetch is no secret")
    func publishedSecret() async throws {
        let set = #"{"keys":[{"kty":"oct","k":"\#(String(repeating: "A", count: 64))"}]}"#
        await #expect(throws: KeyError.self) { try await names(set, allowsSecrets: false) }
    }

    @Test("Keys of unknown kinds are left out, and counted")
    func unknownKinds() async throws {
        let set = """
            {"keys":[{"kty":"XYZ"},{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},{"kty":7},{},
            {"kty":"OKP","crv":"X25519","x":"AA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},
            {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","future":[1]}]}
            """
        let read = try await KeySet(json: Array(set.utf8), allowsSecrets: true, from: "here")
        #expect(read.keys.map { $0.algorithms.keys.sorted() } == [["EdDSA"]])
        #expect(read.ignoredCount == 6)
    }

    @Test(
        "Wrong files are named, with the way out",
        arguments: [
            ("short", "needs 32 or more"), ("", "empty"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "openssl pkey"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "openssl x509"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a key of RSA"),
            ("hello, this is some text", "no public key in PEM"),
        ])
    func wrongFiles(_ contents: String, _ expected: String) async throws {
        let file = try TemporaryFile(contents)
        var sources = KeySources()
        if contents.count < 10 {
            sources.secret = .init(path: file.path, name: "auth.hmac_secret_file")
        } else {
            sources.publicKeys = [.init(path: file.path, name: "auth.public_key_files")]
        }
        let errors = await #expect(throws: KeyErrors.self) { _ = try await FileKeys(sources) }
        let text = errors?.errors.map(\.description).joined() ?? ""
        #expect(text.hasPrefix("auth.") && text.contains(expected), "\(text)")
    }

    @Test("Everything that is wrong is said at once, and no directory or device is read")
    func allErrors() async throws {
        var sources = KeySources()
        sources.secret = .init(path: "/dev/zero", name: "a")
        sources.publicKeys = [.init(path: "/tmp", name: "b"), .init(path: "/nonexistent", name: "c")]
        let errors = await #expect(throws: KeyErrors.self) { _ = try await FileKeys(sources) }
        #expect(errors?.errors.map { $0.description.prefix(2) } == ["a:", "b:", "c:"])
    }

    @Test(
        "Base64 for URLs is read strictly",
        arguments: [
            ("", []), ("AA", [0]), ("AAA", [0, 0]), ("_-8", [255, 239]), ("A", nil), ("AB", nil), ("AA=", nil),
            ("A+", nil), ("A A", nil),
        ] as [(String, [UInt8]?)])
    func base64url(_ text: String, _ bytes: [UInt8]?) {
        #expect(Base64URL.decode(text.utf8) == bytes)
    }

    @Test("A URL is taken apart")
    func urls() throws {
        let plain = try #require(URLTarget("https://login.example.org/a/keys?x=1"))
        #expect((plain.host, plain.port, plain.path) == ("login.example.org", 443, "/a/keys?x=1"))
        let address = try #require(URLTarget("http://[::1]:8080"))
        #expect((address.host, address.port, address.path) == ("::1", 8080, "/"))
        #expect(address.authority == "[::1]:8080")
        #expect(URLTarget("ftp://x/") == nil)
        #expect(URLTarget("http://:80/") == nil)
    }
}
