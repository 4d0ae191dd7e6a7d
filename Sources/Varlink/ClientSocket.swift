package import Glibc

/// A blocking Unix socket that closes itself: the only place where the client touches a descriptor.
struct ClientSocket: ~Copyable {
    private static let readByteCount = 64 << 10

    private let descriptor: CInt
    private let path: String
    private let timeoutSeconds: Int
    /// Whether the peer may be silent for any length of time.
    private var isPatient = false

    /// Connects, and waits for a place in the service's backlog if necessary.
    init(path: String, timeoutSeconds: Int) throws(VarlinkClientError) {
        guard let address = UnixAddress(path: path) else {
            let reason = "a socket's path has 1 to \(UnixAddress.maxPathByteCount) bytes"
            throw .notReachable(path: path, reason: reason)
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .notReachable(path: path, reason: String(cString: strerror(errno))) }

        // For both directions: waiting for a full backlog or a service that hangs must end as well.
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        var result: CInt
        repeat {
            result = address.withSockaddr { connect(descriptor, $0, $1) }
        } while result != 0 && errno == EINTR
        guard result == 0 else {
            let code = errno
            close(descriptor)
            switch code {
            case EACCES, EPERM: throw .notPermitted(path: path)
            case EAGAIN: throw .timedOut(path: path, seconds: timeoutSeconds)
            default: throw .notReachable(path: path, reason: String(cString: strerror(code)))
            }
        }
        self.descriptor = descriptor
        self.path = path
        self.timeoutSeconds = timeoutSeconds
    }

    deinit {
        close(descriptor)
    }

    /// Lets the peer be silent for any length of time from now on.
    mutating func waitForever() {
        isPatient = true
        var timeout = timeval()
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Sends all bytes. If the peer is gone, the result is an error, not a SIGPIPE.
    func send(_ bytes: [UInt8]) throws(VarlinkClientError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// The next bytes; empty if the peer has closed.
    ///
    /// - Parameter wait: waits instead of the socket; see ``VarlinkClient/wait``.
    func receive(waitingWith wait: VarlinkClient.Wait?) throws(VarlinkClientError) -> [UInt8] {
        while true {
            if let wait, !wait(descriptor, isPatient ? nil : timeoutSeconds) { throw .interrupted(path: path) }
            // If the function has waited, an empty socket means that the time is over.
            let flags = wait == nil ? 0 : CInt(MSG_DONTWAIT)
            var code: CInt = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: Self.readByteCount) { buffer, count in
                let result = recv(descriptor, buffer.baseAddress, buffer.count, flags)
                if result < 0 { code = errno }
                count = max(0, result)
            }
            if code == 0 { return bytes }
            if code != EINTR { throw failure(code) }
        }
    }

    private func failure(_ code: CInt) -> VarlinkClientError {
        switch code {
        case EAGAIN: .timedOut(path: path, seconds: timeoutSeconds)
        case EPIPE, ECONNRESET: .disconnected(path: path)
        default: .protocolViolation(path: path, reason: String(cString: strerror(code)))
        }
    }
}

/// The address of a Unix socket in the kernel's form (unix(7)).
package struct UnixAddress: Sendable {
    /// The maximum length of a socket's path in bytes: one less than the field, for the NUL.
    package static let maxPathByteCount = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    private let address: sockaddr_un

    /// The address for a path; nil if it is empty, contains a NUL, or is longer than ``maxPathByteCount``.
    package init?(path: String) {
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.maxPathByteCount, !bytes.contains(0) else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        self.address = address
    }

    /// Calls `body` with the address, for `bind` and `connect`.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

/// The identity of the peer of a Unix socket, from the kernel (`SO_PEERCRED`, unix(7)).
///
/// It is that of the moment when the peer connected. It is for the audit log; the socket that a peer could open decides
/// what the peer may do.
package struct PeerCredentials: Sendable, Hashable {
    /// The peer's process id.
    package let processID: Int32
    /// The peer's effective user id; 65534 if `PrivateUsers=` hides it.
    package let userID: UInt32
    /// The peer's effective group id.
    package let groupID: UInt32

    /// Credentials from a socket, or made up for a test.
    package init(processID: Int32, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }
}

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
