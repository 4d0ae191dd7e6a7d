/// A file with keys: an absolute path, or "credential:NAME" for a credential of the service (systemd.exec(5)).
package struct KeyFile: Sendable, Hashable, CustomStringConvertible {
    /// The path of the file. A credential is in the directory named by the service manager; the path is empty if there
    /// is none.
    package let path: String
    /// The text as it was written.
    package let description: String

    /// A file from its parts.
    package init(path: String, description: String) {
        self.path = path
        self.description = description
    }
}
