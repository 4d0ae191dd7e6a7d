extension Settings {
    /// `[auth]`: authentication of clients. With the mode `none`, only `leeway`, `maxLifetime` and `refreshGrace` may
    /// differ from the defaults.
    package struct Auth: Sendable, Equatable {
        /// The way in which clients authenticate.
        package var mode = AuthMode.none
        /// The file with the secret of HS256, HS384 and HS512; nil for none. With `jwt` there is at least one key, here
        /// or in the next two properties.
        package var hmacSecretFile: KeyFile?
        /// PEM files with the public keys of the other algorithms, without duplicates.
        package var publicKeyFiles: [KeyFile] = []
        /// A JSON Web Key Set with such keys; nil for none.
        package var jwks: KeySetSource?
        /// The issuer that a token must name; empty for any.
        package var issuer = ""
        /// The audience that a token must name; empty for any.
        package var audience = ""
        /// The allowed difference between the clocks, zero to an hour.
        package var leeway: Duration = .seconds(30)
        /// The maximum lifetime of a token, from its `iat` or, without one, from the moment that it is shown; zero for
        /// no maximum.
        package var maxLifetime: Duration = .seconds(86_400)
        /// Whether a token must have an `exp`.
        package var requireExpiry = false
        /// The cookie that may carry the token; empty for none.
        package var cookie = ""
        /// How long a client that was asked for a newer token may stay after its own has expired; a second to an hour.
        package var refreshGrace: Duration = .seconds(30)
    }

    /// The way in which clients authenticate.
    package enum AuthMode: String, Sendable, CaseIterable {
        /// Not at all.
        case none
        /// By a JSON Web Token (RFC 7519).
        case jwt
    }
}
