extension Configuration {
    /// `[auth]`: who the clients are. With the mode `none`, only `leeway`,
    /// `maxLifetime` and `refreshGrace` may differ from the defaults.
    package struct Auth: Sendable, Equatable {
        /// How a client shows who it is.
        package var mode = AuthMode.none
        /// The file with the secret of HS256, HS384 and HS512; nil is none. With `jwt` there is at least one key, here
        /// or in the next two.
        package var hmacSecretFile: KeyFile?
        /// PEM files with the public keys of the other algorithms, none twice.
        package var publicKeyFiles: [KeyFile] = []
        /// A JSON Web Key Set with such keys; nil is none.
        package var jwks: KeySetSource?
        /// The issuer that a token must have; empty is any.
        package var issuer = ""
        /// The audience that a token must have; empty is any.
        package var audience = ""
        /// How far the clocks may be apart, zero to an hour.
        package var leeway: Duration = .seconds(30)
        /// The longest that a token is good, from its `iat` on or, without one, from the moment that it is shown; zero is no
        /// bound.
        package var maxLifetime: Duration = .seconds(86_400)
        /// Whether a token must have an `exp`.
        package var requireExpiry = false
        /// The cookie that may carry the token; empty is none.
        package var cookie = ""
        /// How long a client that was asked for a newer token may stay after its own has expired, a second to an hour.
        package var refreshGrace: Duration = .seconds(30)
    }

    /// How a client shows who it is.
    package enum AuthMode: String, Sendable, CaseIterable {
        /// Not at all.
        case none
        /// With a JSON Web Token (RFC 7519).
        case jwt
    }
}
