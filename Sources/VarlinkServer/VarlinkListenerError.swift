import Glibc

/// The reason why a server can't listen on a path.
package enum VarlinkListenerError: Error, Sendable, Hashable {
    /// Another process listens on it.
    case inUse(path: String)
    /// A file that isn't a socket exists there; it is left alone.
    case notASocket(path: String)
    /// The path is invalid for a socket.
    case invalidPath(path: String, limit: Int)
    /// A system call failed: `action` on `path`, with this `errno`.
    case failed(action: String, path: String, code: Int32)
}

extension VarlinkListenerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .inUse(let path):
            "\(path): another process listens there already; stop it or choose another path"
        case .notASocket(let path):
            "\(path): exists and is not a socket; remove it or choose another path"
        case .invalidPath(let path, let limit):
            "\(path): a socket's path has 1 to \(limit) bytes and no NUL"
        case .failed(let action, let path, let code):
            "\(path): cannot \(action): \(String(cString: strerror(code)))"
        }
    }
}
