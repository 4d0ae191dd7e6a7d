internal import Glibc
package import Settings

extension KeyFile {
    /// Whether this is a credential that the process can't read: systemd shows credentials only to the service's main
    /// process, not to that of ExecReload=, and a check by hand has none either.
    package var isHiddenCredential: Bool {
        guard isCredential, let directory = Self.environment else { return path.isEmpty }
        return access(directory, X_OK) != 0 && errno == EACCES
    }

    /// Whether this is a credential.
    package var isCredential: Bool { description.hasPrefix(Self.scheme) }

    /// The prefix of the name of a credential.
    private static let scheme = "credential:"

    /// The directory of the credentials; nil if the service manager has passed none.
    private static var environment: String? {
        guard let directory = getenv("CREDENTIALS_DIRECTORY") else { return nil }
        return directory.pointee == 0 ? nil : String(cString: directory)
    }

    /// Parses a text from a configuration file. The file need not exist yet.
    init(parsing text: String, credentialsDirectory: String? = Self.environment) throws(InvalidValue) {
        let shown = quoted(text)
        guard text.hasPrefix(Self.scheme) else {
            guard text.hasPrefix("/") else {
                throw InvalidValue(
                    "\(shown) is not absolute; write it from \"/\" on, or \"credential:NAME\" for a credential")
            }
            guard !text.hasSuffix("/"), !text.utf8.contains(0) else {
                throw InvalidValue("\(shown) names no file; a path has no \"/\" at its end and no NUL")
            }
            self.init(path: text, description: text)
            return
        }
        let name = text.dropFirst(Self.scheme.count)
        guard Self.isCredentialName(name) else {
            throw InvalidValue(
                "\(shown) names no credential; write \"credential:NAME\" with the name that LoadCredential= gives it")
        }
        self.init(path: credentialsDirectory.map { "\($0)/\(name)" } ?? "", description: text)
    }

    /// systemd's rule for the name of a credential: a file name in printable ASCII without a colon, as in
    /// LoadCredential=.
    private static func isCredentialName(_ name: Substring) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                (0x20..<0x7F).contains(byte) && byte != UInt8(ascii: "/") && byte != UInt8(ascii: ":")
            }
    }
}
