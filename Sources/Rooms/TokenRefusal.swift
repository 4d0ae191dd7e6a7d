/// Why a token doesn't let a client in.
package struct TokenRefusal: Error, Equatable, Sendable {
    /// A word for metrics, fixed for good.
    package var label: String
    /// What was wrong, for the client's developer. Never holds the token.
    package var message: String

    package init(label: String, message: String) {
        self.label = label
        self.message = message
    }
}
