/// What a token must say besides being signed.
package struct TokenPolicy: Sendable, Hashable {
    /// The issuer it must have; nil is any.
    package var issuer: String?
    /// The audience it must be for; nil is any.
    package var audience: String?
    /// How far the clocks may be apart.
    package var leeway: Duration = .seconds(30)
    /// The longest that it is good, from its `iat` on or, without one, from now; nil is no bound.
    package var maximumLifetime: Duration?
    /// Whether it must have an `exp`.
    package var requiresExpiry = false

    package init() {}
}
