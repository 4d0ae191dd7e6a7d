/// Why a token doesn't let a client in.
package struct TokenRefusal: Error, Equatable, Sendable {
    /// A word for metrics, fixed for good: one of ``labels``, or "missing" where there was no token to check.
    package var label: String
    /// What was wrong, for the client's developer. Never holds the token.
    package var message: String
    /// Whose token it is, where its signature was right.
    package var user: String?

    /// Every label of a token that was checked.
    package static let labels = [
        "malformed", "algorithm", "key", "signature", "expired", "not_yet_valid", "issuer", "audience", "claim",
        "keys_unavailable",
    ]

    /// Whether the token may be good, and what checks it can't be had: its holder should come again with it.
    package var isTemporary: Bool { label == "keys_unavailable" }

    package init(label: String, message: String) {
        self.label = label
        self.message = message
    }
}
