import CLinux
import Glibc
import WebSocket

/// The directory in which a client of a certificate authority leaves its answers to HTTP challenges (RFC 8555, section 8.3),
/// below `.well-known/acme-challenge`, as it would in that of a web server.
///
/// Nothing else is read: names of other characters than a token's are none, and no symbolic link is followed below the
/// directory.
package struct ChallengeDirectory: Sendable, Equatable {
    /// The path of the directory, which is absolute.
    package let path: String

    /// The directory at a path; it need not exist yet.
    package init(_ path: String) { self.path = path }

    /// The largest answer in bytes: a token and the thumbprint of a key take less than 200.
    private static let maximumByteCount = 4096
    private static let maximumTokenByteCount = 128
    private static let places = [".well-known", "acme-challenge"]

    /// The token of a challenge whose answer has this path; nil for any other path.
    static func token(in path: String) -> Substring? {
        let prefix = "/\(places.joined(separator: "/"))/"
        guard path.hasPrefix(prefix) else { return nil }
        let token = path.dropFirst(prefix.count)
        return isToken(token) ? token : nil
    }

    /// Whether this is a name in base64url.
    private static func isToken(_ name: Substring) -> Bool {
        1...maximumTokenByteCount ~= name.utf8.count
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// The answer to a challenge; nil if there is none that may be served.
    ///
    /// It may take as long as the file system takes: see ``ChallengeReader``.
    func answer(to token: String) -> [UInt8]? {
        var directory = clinux_open_directory(AT_FDCWD, path, 1)
        for place in Self.places where directory >= 0 {
            let next = clinux_open_directory(directory, place, 0)
            close(directory)
            directory = next
        }
        guard directory >= 0 else { return nil }
        defer { close(directory) }
        // What is no file, such as a FIFO, must not hold the others up.
        let file = openat(directory, token, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            1...Self.maximumByteCount ~= Int(status.st_size)
        else { return nil }
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
            count = max(0, read(file, buffer.baseAddress, buffer.count))
        }
        return bytes.isEmpty ? nil : bytes
    }
}
