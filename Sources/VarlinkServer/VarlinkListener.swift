package import Glibc
import Varlink

/// A listening Unix socket, passed by systemd or bound here. Nothing is accepted before a ``VarlinkServer`` runs on it.
package struct VarlinkListener: Sendable {
    /// The listening descriptor; the server that runs on it closes it.
    let descriptor: CInt
    /// The socket file, if it was created here and has to be removed.
    private let file: SocketFile?

    /// A path, and the identity of the file that was bound: another daemon may have put its own there since.
    private struct SocketFile: Sendable {
        let path: String
        let device: dev_t
        let inode: ino_t
    }

    /// Takes a socket that is listening already. Its file, if it has one, stays when the server stops.
    package init(adopting descriptor: CInt) {
        self.descriptor = descriptor
        file = nil
    }

    /// Binds a socket to a path and listens on it. A missing parent directory is created (0755); a socket file on which
    /// no process answers is replaced.
    ///
    /// - Parameters:
    ///   - path: the path to listen on.
    ///   - mode: the mode of the socket file, which decides which users may connect: 0o660 for owner and group.
    package init(path: String, mode: mode_t) throws(VarlinkListenerError) {
        guard let address = UnixAddress(path: path) else {
            throw .invalidPath(path: path, limit: UnixAddress.maxPathByteCount)
        }
        let directory = Self.directory(of: path)
        try Self.createDirectory(directory)

        // Two daemons that start at once must not both find the file stale: the second would remove that of the first.
        let lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw .failed(action: "open directory", path: directory, code: errno) }
        defer { close(lock) }
        while flock(lock, LOCK_EX) != 0 && errno == EINTR {}
        try Self.removeStaleFile(path, address)

        let descriptor = try Self.makeSocket(path)
        do throws(VarlinkListenerError) {
            guard address.withSockaddr({ bind(descriptor, $0, $1) }) == 0 else {
                throw VarlinkListenerError.failed(action: "bind", path: path, code: errno)
            }
            // Before listen(): until then nobody can connect, whatever mode the umask produced.
            var status = stat()
            guard chmod(path, mode) == 0, lstat(path, &status) == 0 else {
                throw VarlinkListenerError.failed(action: "set the mode", path: path, code: errno)
            }
            guard listen(descriptor, SOMAXCONN) == 0 else {
                throw VarlinkListenerError.failed(action: "listen", path: path, code: errno)
            }
            self.descriptor = descriptor
            file = SocketFile(path: path, device: status.st_dev, inode: status.st_ino)
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Removes the socket file, if it was created here and is still the same.
    func removeFile() {
        guard let file else { return }
        var status = stat()
        guard lstat(file.path, &status) == 0, status.st_dev == file.device, status.st_ino == file.inode else { return }
        unlink(file.path)
    }

    private static func makeSocket(_ path: String) throws(VarlinkListenerError) -> CInt {
        let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw .failed(action: "make a socket", path: path, code: errno) }
        return descriptor
    }

    /// Makes room for a new socket: removes a file on which no process answers.
    private static func removeStaleFile(_ path: String, _ address: UnixAddress) throws(VarlinkListenerError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw .failed(action: "look", path: path, code: errno)
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        let probe = try makeSocket(path)
        defer { close(probe) }
        // A full backlog (EAGAIN) means that a process listens; so does a socket that admits others but not us
        // (EACCES).
        let answered = address.withSockaddr { connect(probe, $0, $1) } == 0
        guard !answered, errno == ECONNREFUSED else { throw .inUse(path: path) }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw .failed(action: "remove the stale socket", path: path, code: errno)
        }
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func createDirectory(_ path: String) throws(VarlinkListenerError) {
        if mkdir(path, 0o755) == 0 { return }
        switch errno {
        case EEXIST: return
        case ENOENT where path.contains("/") && directory(of: path) != path:
            try createDirectory(directory(of: path))
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
                throw .failed(action: "create the directory", path: path, code: errno)
            }
        default:
            throw .failed(action: "create the directory", path: path, code: errno)
        }
    }
}

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
