/// The reason why a token is refused.
package struct TokenRefusal: Error, Equatable, Sendable {
    /// The label in metrics, which never changes: one of ``labels``, or "missing" if there was no token.
    package var label: String
    /// The problem, for the client's developer. It never contains the token.
    package var message: String
    /// The user of the token, if its signature was valid.
    package var user: String?

    /// Every label of a token that was checked.
    package static let labels = [
        "malformed", "algorithm", "key", "signature", "expired", "not_yet_valid", "issuer", "audience", "claim",
        "keys_unavailable",
    ]

    /// Whether the token may be valid, but the keys to verify it are not available: the client should retry with it.
    package var isTemporary: Bool { label == "keys_unavailable" }

    package init(label: String, message: String) {
        self.label = label
        self.message = message
    }
}
