import Glibc

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
