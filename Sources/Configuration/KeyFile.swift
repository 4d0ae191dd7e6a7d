internal import Glibc

/// A file with keys: an absolute path, or "credential:NAME" for a credential of the service (systemd.exec(5)).
package struct KeyFile: Sendable, Hashable, CustomStringConvertible {
    /// Where the file is; for a credential in the directory that the service manager has named, and empty where it has named
    /// none.
    package let path: String
    /// As it was written.
    package let description: String

    /// Whether it is a credential that this process can't look at: systemd shows them to the service's main process only, and
    /// not to that of ExecReload=; nor are there any for who checks a configuration by hand.
    package var isHiddenCredential: Bool {
        guard description.hasPrefix(Self.scheme), let directory = Self.environment else { return path.isEmpty }
        return access(directory, X_OK) != 0 && errno == EACCES
    }

    /// What the name of a credential follows.
    private static let scheme = "credential:"

    /// Where the service manager has put the credentials; nil where it has passed none.
    private static var environment: String? {
        guard let directory = getenv("CREDENTIALS_DIRECTORY") else { return nil }
        return directory.pointee == 0 ? nil : String(cString: directory)
    }

    /// Parses what stands in a configuration file. The file need not be there yet.
    init(parsing text: String, credentialsDirectory: String? = Self.environment) throws(InvalidValue) {
        let shown = quoted(text)
        description = text
        guard text.hasPrefix(Self.scheme) else {
            guard text.hasPrefix("/") else {
                throw InvalidValue(
                    "\(shown) is not absolute; write it from \"/\" on, or \"credential:NAME\" for a credential")
            }
            guard !text.hasSuffix("/"), !text.utf8.contains(0) else { throw InvalidValue("\(shown) names no file") }
            path = text
            return
        }
        let name = text.dropFirst(Self.scheme.count)
        guard Self.isCredentialName(name) else {
            throw InvalidValue(
                "\(shown) names no credential; write \"credential:NAME\" with the name that LoadCredential= gives it")
        }
        path = credentialsDirectory.map { "\($0)/\(name)" } ?? ""
    }

    /// The rule of systemd: the name of a file in printable ASCII without a colon, as it stands in LoadCredential=.
    private static func isCredentialName(_ name: Substring) -> Bool {
        (1...255).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                (0x20..<0x7F).contains(byte) && byte != UInt8(ascii: "/") && byte != UInt8(ascii: ":")
            }
    }
}
