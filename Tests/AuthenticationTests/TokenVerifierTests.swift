import Channels
import FoundationEssentials
import JWTKit
import Logging
import Synchronization
import Testing

@testable import Authentication

/// Tokens of every kind, signed here by the library, and everything that must not be let in.
@Suite("Tokens")
struct TokenVerifierTests {
    static let now = 1_800_000_000.0
    static let secret = [UInt8](repeating: 7, count: 64)

    /// A verifier with the keys of a set.
    private func verifier(_ set: String, _ change: (inout TokenPolicy) -> Void = { _ in }) async throws -> TokenVerifier
    {
        let file = try TemporaryFile(set)
        var sources = KeySources()
        sources.keySet = .init(path: file.path, name: "the set")
        var policy = TokenPolicy()
        change(&policy)
        let store = try await KeyStore(sources, policy, logger: Logger(label: "test")) { url throws(KeyError) in
            throw KeyError("no network: \(url)")
        }
        return TokenVerifier(store: store) { Self.now }
    }

    private static var secretSet: String {
        #"{"keys": [{"kty": "oct", "kid": "a", "k": "\#(base64url(secret))"}]}"#
    }

    private static func base64url(_ bytes: [UInt8]) -> String {
        String(Data(bytes).base64EncodedString().filter { $0 != "=" }.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    }

    /// A token with any header and any claims, signed with HMAC.
    private func token(_ claims: String, header: String = #"{"alg":"HS256"}"#) async throws -> String {
        let signed = Self.base64url(Array(header.utf8)) + "." + Self.base64url(Array(claims.utf8))
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: Self.secret), digestAlgorithm: .sha256)
        return signed + "." + Self.base64url(try await keys.getKey().sign(Array(signed.utf8)))
    }

    private func outcome(_ claims: String, _ change: (inout TokenPolicy) -> Void = { _ in }) async throws
        -> Result<Identity, TokenRefusal>
    {
        try await verifier(Self.secretSet, change).verify(try await token(claims))
    }

    private func refusal(_ outcome: Result<Identity, TokenRefusal>) -> String? {
        if case .failure(let refusal) = outcome { return refusal.label }
        return nil
    }

    @Test("A good token names the user, the end and the grants")
    func identity() async throws {
        let array = #"[{"pattern":"room:*","subscribe":true,"publish":true},{"pattern":"news","subscribe":true}]"#
        let object = #"{"news":["subscribe"],"room:*":["publish","subscribe"]}"#
        for channels in [array, object] {
            let identity = try await outcome(#"{"sub":"alice","exp":1800000060.5,"channels":\#(channels)}"#).get()
            #expect(identity.user == "alice")
            #expect(identity.expiresAt == 1_800_000_060_500)
            #expect(
                Set(identity.grants) == [
                    Grant(pattern: ChannelPattern("room:*"), subscribe: true, publish: true),
                    Grant(pattern: ChannelPattern("news"), subscribe: true, publish: false),
                ])
        }
    }

    @Test(
        "Times are compared with the leeway on both sides",
        arguments: [
            (#""exp":1799999971"#, nil), (#""exp":1799999970"#, "expired"), (#""exp":-1"#, "claim"),
            (#""exp":"soon""#, "claim"), (#""nbf":1800000030"#, nil), (#""nbf":1800000031"#, "not_yet_valid"),
            (#""exp":1e300"#, "claim"), (#""nbf":[]"#, "claim"), (#""exp":null"#, nil),
        ] as [(String, String?)])
    func times(_ claim: String, _ expected: String?) async throws {
        #expect(refusal(try await outcome(#"{"sub":"alice",\#(claim)}"#)) == expected)
    }

    @Test(
        "No token is good beyond its longest lifetime, from its iat or from now",
        arguments: [
            // Now is 1800000000, the bound an hour.
            (#""exp":1800000060"#, 1_800_000_060_000), (#""exp":1900000000"#, 1_800_003_600_000),
            (#""exp":1900000000,"iat":1799999000"#, 1_800_002_600_000), (#""iat":1799999000"#, 1_800_002_600_000),
            (#""exp":1800000060,"iat":1799999000"#, 1_800_000_060_000), (#""nbf":1799999000"#, 1_800_003_600_000),
            // Dated in the future, it is good no longer for it.
            (#""iat":1900000000,"exp":1900000001"#, 1_800_003_600_000), (#""iat":1e10"#, 1_800_003_600_000),
            // The bound is past, within the leeway and beyond.
            (#""iat":1799996371"#, 1_799_999_971_000), (#""iat":1799996370"#, nil),
            (#""iat":1799996370,"exp":1900000000"#, nil),
        ] as [(String, Int64?)])
    func longestLifetime(_ claims: String, _ expected: Int64?) async throws {
        let bounded = try await outcome(#"{"sub":"alice",\#(claims)}"#) { $0.maximumLifetime = .seconds(3600) }
        if let expected {
            #expect(try bounded.get().expiresAt == expected)
        } else {
            #expect(refusal(bounded) == "expired")
        }
    }

    @Test("A token without an exp is refused where one is asked for, and good for ever where nothing bounds it")
    func requiredExpiry() async throws {
        let requiring: (inout TokenPolicy) -> Void = { $0.requiresExpiry = true }
        #expect(refusal(try await outcome(#"{"sub":"alice","iat":1800000000}"#, requiring)) == "claim")
        #expect(try await outcome(#"{"sub":"alice","exp":1800000060}"#, requiring).get().expiresAt == 1_800_000_060_000)
        #expect(try await outcome(#"{"sub":"alice","iat":1}"#).get().expiresAt == nil)
    }

    @Test("An iat is a time", arguments: [#""soon""#, "[]", "-1", "0", "1e300"])
    func issuedAt(_ time: String) async throws {
        let bounded = try await outcome(#"{"sub":"alice","iat":\#(time)}"#) { $0.maximumLifetime = .seconds(3600) }
        #expect(refusal(bounded) == "claim")
    }

    @Test(
        "The subject is a user",
        arguments: [
            #"{}"#, #"{"sub":""}"#, #"{"sub":7}"#, #"{"sub":"guest-1"}"#, #"{"sub":"a\u0000"}"#, #"{"sub":null}"#,
            #"{"sub":"\#(String(repeating: "x", count: 129))"}"#,
        ])
    func subject(_ claims: String) async throws {
        #expect(refusal(try await outcome(claims)) == "claim")
    }

    @Test("The issuer and the audience are compared where they are asked for")
    func issuerAndAudience() async throws {
        func label(_ claims: String) async throws -> String? {
            refusal(
                try await outcome(#"{"sub":"a"\#(claims)}"#) {
                    $0.issuer = "https://login"
                    $0.audience = "wsd"
                })
        }
        #expect(try await label(#","iss":"https://login","aud":"wsd""#) == nil)
        #expect(try await label(#","iss":"https://login","aud":["other","wsd"]"#) == nil)
        #expect(try await label(#","iss":"https://login","aud":["other"]"#) == "audience")
        #expect(try await label(#","iss":"https://login""#) == "audience")
        #expect(try await label(#","iss":"https://login/","aud":"wsd""#) == "issuer")
        #expect(try await label(#","aud":"wsd""#) == "issuer")
        #expect(try await label(#","iss":"https://login","aud":{}"#) == "claim")
    }

    @Test(
        "Channels are granted in two forms, and in no other",
        arguments: [
            "7", #""room:*""#, "[7]", #"{"room:*":true}"#, #"{"room:*":["read"]}"#, #"[{"subscribe":true}]"#,
            #"[{"pattern":""}]"#,
        ])
    func grants(_ channels: String) async throws {
        #expect(refusal(try await outcome(#"{"sub":"a","channels":\#(channels)}"#)) == "claim")
    }

    @Test("What isn't a token is said to be none")
    func malformed() async throws {
        let verifier = try await verifier(Self.secretSet)
        let good = try await token(#"{"sub":"a"}"#)
        #expect(refusal(await verifier.verify(good)) == nil)
        let bad: [String] = [
            "", ".", "..", "a.b", good + ".", good + "=", good + "\n", " " + good,
            String(repeating: "a", count: 20_000),
            good.replacing(".", with: ".."), "\u{0}.\u{0}.\u{0}",
        ]
        for token in bad { #expect(refusal(await verifier.verify(token)) == "malformed", "\(token.prefix(40))") }
    }

    @Test("The algorithm is the key's, and what isn't understood is refused")
    func algorithms() async throws {
        let verifier = try await verifier(Self.secretSet)
        func label(_ header: String) async throws -> String? {
            refusal(await verifier.verify(try await token(#"{"sub":"a"}"#, header: header)))
        }
        #expect(try await label(#"{"alg":"HS256"}"#) == nil)
        #expect(try await label(#"{"alg":"HS256","kid":"a","typ":"JWT"}"#) == nil)
        #expect(try await label(#"{"alg":"HS256","kid":"b"}"#) == "key")
        #expect(try await label(#"{"alg":"HS512"}"#) == "signature")
        #expect(try await label(#"{"alg":"RS256"}"#) == "key")
        #expect(try await label(#"{"alg":"none"}"#) == "algorithm")
        #expect(try await label(#"{"alg":"None"}"#) == "algorithm")
        #expect(try await label(#"{"alg":"hs256"}"#) == "algorithm")
        #expect(try await label(#"{"alg":"HS256","crit":["b64"],"b64":false}"#) == "malformed")
        #expect(try await label(#"{"kid":"a"}"#) == "malformed")
        #expect(try await label("[]") == "malformed")
        #expect(try await label(#"{"alg":["HS256"]}"#) == "malformed")
        let unsigned =
            "\(Self.base64url(Array(#"{"alg":"none"}"#.utf8))).\(Self.base64url(Array(#"{"sub":"a"}"#.utf8)))."
        #expect(refusal(await verifier.verify(unsigned)) == "algorithm")
    }

    @Test("Every changed byte of the claims and of the signature is noticed")
    func tampering() async throws {
        let verifier = try await verifier(Self.secretSet)
        let good = Array(try await token(#"{"sub":"alice"}"#).utf8)
        let start = good.firstIndex(of: UInt8(ascii: "."))! + 1
        for index in start..<good.count where good[index] != UInt8(ascii: ".") {
            var changed = good
            changed[index] = good[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let outcome = await verifier.verify(String(decoding: changed, as: UTF8.self))
            #expect(throws: TokenRefusal.self, "at \(index)") { try outcome.get() }
        }
    }

    @Test("A token made here is taken here")
    func made() async throws {
        let file = try TemporaryFile(String(repeating: "s", count: 40) + "\n")
        var sources = KeySources()
        sources.secret = .init(path: file.path, name: "the secret")
        var policy = TokenPolicy()
        policy.issuer = "https://login"
        policy.audience = "wsd"
        let store = try await KeyStore(sources, policy, logger: Logger(label: "test")) { url throws(KeyError) in
            throw KeyError(url)
        }
        let grant = Grant(pattern: ChannelPattern("a/*"), subscribe: true, publish: false)
        let token = try #require(
            await TokenMaker(store: store).token(user: "Zoë \"1\"", lifetime: 60, grants: [grant]))
        let identity = try await TokenVerifier(store: store).verify(token).get()
        #expect(identity.user == "Zoë \"1\"")
        #expect(identity.grants == [grant])
    }
}
