package import Channels
internal import FoundationEssentials
internal import JWTKit
package import Logging
package import NIOCore

/// Everything about tokens in one place: keys from files and from a URL, checking, and making.
package struct Authenticator: Sendable {
    package let verifier: TokenVerifier
    package let maker: TokenMaker
    package let store: KeyStore

    /// Loads the keys from files, and begins to fetch the others.
    ///
    /// - Throws: every error in the key files.
    package init(
        _ sources: KeySources, _ policy: TokenPolicy, group: any EventLoopGroup, logger: Logger
    ) async throws(KeyErrors) {
        let fetcher = KeySetFetcher(group: group)
        store = try await KeyStore(sources, policy, logger: logger) { url throws(KeyError) in
            try await fetcher.fetch(url)
        }
        verifier = TokenVerifier(store: store)
        maker = TokenMaker(store: store)
        await store.refreshIfDue()
    }

    /// Checks the keys in files, without keeping them.
    ///
    /// - Throws: every error in the key files.
    package static func check(_ sources: KeySources) async throws(KeyErrors) { _ = try await FileKeys(sources) }
}

/// Makes tokens with the secret that this daemon checks them with: for development and tests, instead of a login
/// server.
package struct TokenMaker: Sendable {
    private let store: KeyStore

    package init(store: KeyStore) {
        self.store = store
    }

    private struct Payload: Encodable {
        struct Channel: Encodable {
            var pattern: String
            var subscribe: Bool
            var publish: Bool
        }

        var sub: String
        var iat: Int
        var exp: Int
        var iss: String?
        var aud: String?
        var channels: [Channel]?

    }

    /// Makes a token for `user` that is valid for `lifetime` seconds, with the issuer and the audience that this daemon
    /// requires; nil if there is no secret to sign it with.
    package func token(user: String, lifetime: Int, grants: [Grant]) async throws -> String? {
        guard let signer = await store.signer?.algorithms["HS256"] else { return nil }
        let policy = await store.policy
        let now = Int(Date.now.timeIntervalSince1970)
        let payload = Payload(
            sub: user, iat: now, exp: now + lifetime, iss: policy.issuer, aud: policy.audience,
            channels: grants.isEmpty
                ? nil
                : grants.map { .init(pattern: $0.pattern.text, subscribe: $0.subscribe, publish: $0.publish) })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let signed =
            Base64URL.encode(Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8)) + "."
            + Base64URL.encode(Array(try encoder.encode(payload)))
        return signed + "." + Base64URL.encode(try signer.sign(Array(signed.utf8)))
    }
}
