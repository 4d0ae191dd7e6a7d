/// What a token must say besides being signed.
package struct TokenPolicy: Sendable, Hashable {
    /// The issuer it must have; nil is any.
    package var issuer: String?
    /// The audience it must be for; nil is any.
    package var audience: String?
    /// How far the clocks may be apart.
    package var leeway: Duration = .seconds(30)

    package init() {}
}
