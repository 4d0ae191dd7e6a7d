import CLinux
import Glibc

/// An address to connect to or from.
struct SocketAddress: @unchecked Sendable {  // sockaddr_storage is plain bytes.
    private(set) var storage = sockaddr_storage()
    private(set) var length: socklen_t = 0

    var family: CInt { CInt(storage.ss_family) }

    /// Whether this is a loopback address, 127.0.0.0/8 or ::1.
    var isLoopback: Bool {
        if family == AF_INET { return bytes(4, at: 4).first == 127 }
        return bytes(16, at: 8) == [UInt8](repeating: 0, count: 15) + [1]
    }

    private func bytes(_ count: Int, at offset: Int) -> [UInt8] {
        withUnsafeBytes(of: storage) { Array($0[offset..<(offset + count)]) }
    }

    private init(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
        let bytes = UnsafeRawBufferPointer(start: address, count: Int(length))
        withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: bytes) }
        self.length = length
    }

    /// Resolves a name or a number.
    ///
    /// - Throws: a failure with exit code 69 if the name isn't known.
    static func resolve(_ host: String, port: UInt16, isNumeric: Bool = false) throws(Failure) -> SocketAddress {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (isNumeric ? AI_NUMERICHOST : 0)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &found)
        guard result == 0, let found else {
            throw Failure(
                "cannot find the address of '\(host)': \(String(cString: gai_strerror(result)))",
                exitCode: EX_UNAVAILABLE)
        }
        defer { freeaddrinfo(found) }
        return SocketAddress(found.pointee.ai_addr, found.pointee.ai_addrlen)
    }

    /// A non-blocking socket without delay, bound to `source` if there is one, that is connecting to this address.
    ///
    /// - Returns: the descriptor, or the error.
    func connect(from source: SocketAddress?, receiveBufferByteCount: Int?) -> Result<CInt, SocketError> {
        let descriptor = clinux_stream_socket(family)
        guard descriptor >= 0 else { return .failure(SocketError(number: errno)) }
        func failure() -> Result<CInt, SocketError> {
            let number = errno
            close(descriptor)
            return .failure(SocketError(number: number))
        }
        _ = clinux_set_option(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        if let receiveBufferByteCount {
            _ = clinux_set_option(descriptor, SOL_SOCKET, SO_RCVBUF, CInt(receiveBufferByteCount))
        }
        if var source {
            // connect(2) chooses the port by the whole four-tuple: a port serves one connection per destination, not
            // just one in all (ip(7)).
            _ = clinux_set_option(descriptor, CInt(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, 1)
            guard clinux_bind(descriptor, &source.storage, source.length) == 0 else { return failure() }
        }
        let result = withUnsafeBytes(of: storage) {
            Glibc.connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
        }
        guard result == 0 || errno == EINPROGRESS else { return failure() }
        return .success(descriptor)
    }
}

/// The error of a socket call.
struct SocketError: Error {
    /// The errno.
    var number: CInt

    /// Its name if it is one that a load generator encounters, otherwise its text.
    var name: String { Self.name(number) }

    /// The name or text of an errno.
    static func name(_ number: CInt) -> String {
        switch number {
        case ECONNREFUSED: "ECONNREFUSED"
        case ECONNRESET: "ECONNRESET"
        case ETIMEDOUT: "ETIMEDOUT"
        case EADDRNOTAVAIL: "EADDRNOTAVAIL"
        case EMFILE: "EMFILE"
        case ENFILE: "ENFILE"
        case EHOSTUNREACH: "EHOSTUNREACH"
        case ENETUNREACH: "ENETUNREACH"
        case EPIPE: "EPIPE"
        case ENOBUFS: "ENOBUFS"
        case ENOMEM: "ENOMEM"
        default: String(cString: strerror(number))
        }
    }
}
