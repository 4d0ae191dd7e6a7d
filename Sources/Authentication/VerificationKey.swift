internal import JWTKit

/// A key for checking tokens, with the algorithms that it may be used with and no others, so that a public key can't be
/// taken for the secret of HS256 (RFC 8725, section 2.1).
struct VerificationKey: Sendable {
    /// The `kid` of a key from a set; nil for any.
    let id: String?
    /// The algorithms by their names in a token's `alg` (RFC 7518, section 3.1).
    let algorithms: [String: any JWTAlgorithm]

    /// Every algorithm that a token may name. "none" is no algorithm.
    static let algorithmNames: Set<String> = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "EdDSA",
    ]

    init(id: String?, algorithms: [any JWTAlgorithm]) {
        self.id = id
        self.algorithms = Dictionary(algorithms.map { ($0.name, $0) }) { first, _ in first }
    }
}
