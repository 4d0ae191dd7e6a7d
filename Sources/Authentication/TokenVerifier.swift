package import Channels
internal import FoundationEssentials
internal import JWTKit
internal import Synchronization

/// Checks JSON Web Tokens (RFC 7519) as RFC 8725 requires: the key determines the algorithm, "none" is not an
/// algorithm, and a token that isn't understood is refused.
package struct TokenVerifier: Sendable {
    /// Far longer than a request can carry anyway.
    static let longestToken = 16 * 1024

    private let store: KeyStore
    private let now: @Sendable () -> Double
    /// The number of refused tokens by label.
    private let refused = Refusals()

    private final class Refusals: Sendable {
        let counts = Mutex<[String: UInt64]>([:])
    }

    package init(store: KeyStore) {
        self.init(store: store) { Date.now.timeIntervalSince1970 }
    }

    /// - Parameter now: seconds since 1970.
    init(store: KeyStore, now: @escaping @Sendable () -> Double) {
        self.store = store
        self.now = now
    }

    /// The identity in a token, or the reason to refuse it.
    package func verify(_ token: String) async -> Result<Identity, TokenRefusal> {
        do throws(TokenRefusal) { return .success(try await identity(token)) } catch {
            refused.counts.withLock { $0[error.label, default: 0] += 1 }
            return .failure(error)
        }
    }

    /// The number of refused tokens for every label.
    package var refusalCounts: [(label: String, count: UInt64)] {
        refused.counts.withLock { counts in TokenRefusal.labels.map { ($0, counts[$0] ?? 0) } }
    }

    private struct Header: Decodable {
        var alg: String
        var kid: String?
        var crit: [String]?
    }

    private func identity(_ token: String) async throws(TokenRefusal) -> Identity {
        let text = Array(token.utf8)
        guard text.count <= Self.longestToken else { throw .malformed("longer than \(Self.longestToken) bytes") }
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("it must have three parts with dots between them") }
        guard let headerBytes = Base64URL.decode(parts[0]), let claimBytes = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2])
        else { throw .malformed("its parts must be base64url without padding") }
        guard let header = try? JSONDecoder().decode(Header.self, from: Data(headerBytes)) else {
            throw .malformed("its header must be an object with a string alg, and perhaps a string kid")
        }
        guard VerificationKey.algorithmNames.contains(header.alg) else {
            throw TokenRefusal(
                label: "algorithm", message: "the algorithm \"\(header.alg.prefix(16))\" is not accepted")
        }
        guard header.crit == nil else { throw .malformed("its header has crit, and no extension is known here") }
        let signed = text[..<(text.count - parts[2].count - 1)]
        try await check(signature, of: signed, header)

        let claims: Claims
        do { claims = try JSONDecoder().decode(Claims.self, from: Data(claimBytes)) } catch let refusal as TokenRefusal
        {
            throw refusal
        } catch {
            throw .malformed("its claims must be an object in JSON")
        }
        do throws(TokenRefusal) { return try claims.identity(await store.policy, now: now()) } catch {
            var refusal = error
            // If a claim is wrong, it may be the name itself.
            if refusal.label != "claim" { refusal.user = claims.subject }
            throw refusal
        }
    }

    private func check(_ signature: [UInt8], of signed: ArraySlice<UInt8>, _ header: Header) async throws(TokenRefusal)
    {
        let keys: [any JWTAlgorithm]
        do throws(KeyError) { keys = try await store.keys(algorithm: header.alg, id: header.kid) } catch {
            throw TokenRefusal(label: "keys_unavailable", message: error.description)
        }
        guard !keys.isEmpty else {
            let id = header.kid.map { " and the kid \"\($0.prefix(64))\"" } ?? ""
            throw TokenRefusal(label: "key", message: "there is no key for the algorithm \(header.alg)\(id)")
        }
        for key in keys where (try? key.verify(signature, signs: signed)) == true { return }
        throw TokenRefusal(label: "signature", message: "the token's signature is wrong")
    }
}

extension TokenRefusal {
    fileprivate static func malformed(_ reason: String) -> TokenRefusal {
        TokenRefusal(label: "malformed", message: "not a JSON Web Token: \(reason)")
    }
}

/// The requirements for a token besides its signature.
package struct TokenPolicy: Sendable, Hashable {
    /// The issuer that the token must name; nil for any.
    package var issuer: String?
    /// The audience that the token must name; nil for any.
    package var audience: String?
    /// The allowed difference between the clocks.
    package var leeway: Duration = .seconds(30)
    /// The maximum lifetime of a token, from its `iat` or, without one, from now; nil for no maximum.
    package var maximumLifetime: Duration?
    /// Whether the token must have an `exp`.
    package var requiresExpiry = false

    package init() {}
}
