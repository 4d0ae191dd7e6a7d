internal import Glibc

/// Reads files with keys and other secrets.
package enum KeyFileReader {
    /// Far more than any key or set of keys needs.
    static let maximumByteCount = 1 << 20

    /// The contents of a regular file; the path is empty for a credential that was not passed.
    package static func contents(of path: String, shownAs origin: String) throws(KeyError) -> [UInt8] {
        guard !path.isEmpty else {
            throw KeyError(
                "\(origin): $CREDENTIALS_DIRECTORY is not set, so there are no credentials; "
                    + "add LoadCredential= to the unit, or write the path itself")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(errno, origin) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw unreadable(errno, origin) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw KeyError("\(origin): this is a directory or a device; name a regular file")
        }
        guard status.st_size <= maximumByteCount else {
            throw KeyError("\(origin): larger than 1 MiB, the maximum; name the file of the key alone")
        }
        guard status.st_size > 0 else {
            throw KeyError("\(origin): the file is empty; write the key into it, or name another")
        }
        let wanted = Int(status.st_size)
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
            while count < wanted {
                let result = read(descriptor, buffer.baseAddress! + count, wanted - count)
                if result < 0, errno == EINTR { continue }
                if result < 0 { failure = errno }
                guard result > 0 else { break }
                count += result
            }
        }
        guard failure == 0 else { throw unreadable(failure, origin) }
        return bytes
    }

    /// The error of a system call, with the way out where it is known.
    private static func unreadable(_ code: Int32, _ origin: String) -> KeyError {
        let wayOut =
            switch code {
            case ENOENT: "; create the file, or name another"
            case EACCES: "; the user of the daemon must be able to read it"
            default: ""
            }
        return KeyError("\(origin): can't be read: \(String(cString: strerror(code)))\(wayOut)")
    }

    /// Whether every user can read the file, and so use its keys.
    package static func isReadableByEverybody(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IROTH != 0
    }
}

/// An error of a key: which key, the reason, and the way out. Never contains the key.
package struct KeyError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// All errors of the keys.
package struct KeyErrors: Error, Sendable {
    package let errors: [KeyError]

    package init(errors: [KeyError]) { self.errors = errors }
}
