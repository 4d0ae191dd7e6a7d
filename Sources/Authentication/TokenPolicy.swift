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
