/// The source of a JSON Web Key Set (RFC 7517).
package enum KeySetSource: Sendable, Hashable, CustomStringConvertible {
    /// A file.
    case file(KeyFile)
    /// An https URL, or an http URL of this machine.
    case url(String)

    /// The source as it was written.
    package var description: String {
        switch self {
        case .file(let file): file.description
        case .url(let url): url
        }
    }
}
