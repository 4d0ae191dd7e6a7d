/// A certificate that the hub shows its clients.
package struct CertificateStatus: Codable, Sendable, Hashable {
    /// The names of the hosts that it is for.
    package var names: [String]
    /// The kind of its key, such as `RSA` and `EC`.
    package var keyKind: String
    /// The time at which it expires: RFC 3339, UTC.
    package var expiresAt: String

    /// A certificate with these facts.
    package init(names: [String], keyKind: String, expiresAt: String) {
        self.names = names
        self.keyKind = keyKind
        self.expiresAt = expiresAt
    }
}
