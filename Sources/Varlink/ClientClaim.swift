import Glibc

/// A client's description of itself, in the key `io.wsd.client` of a call: for the log of a service whose sandbox hides
/// the client's process and user. It is not trusted for anything else.
package struct ClientClaim: Codable, Sendable, Hashable {
    /// The command's name.
    package let command: String
    /// The user's number.
    package let userID: UInt32

    package init(command: String, userID: UInt32) {
        self.command = command
        self.userID = userID
    }

    /// The claim of this process.
    static let own: ClientClaim? = {
        let descriptor = open("/proc/self/comm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &buffer, buffer.count)
        let name = String(decoding: buffer.prefix(max(0, count)).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        return ClientClaim(command: name, userID: getuid())
    }()
}
