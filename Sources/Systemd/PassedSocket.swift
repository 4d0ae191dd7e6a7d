import CLinux
import CSystemd
import Glibc

/// A listening socket that the service manager opened and passed.
package struct PassedSocket: Sendable, Equatable {
    /// The address family that a socket must have to serve under its name.
    package enum Family: Sendable {
        /// TCP or a Unix socket.
        case any
        /// A Unix socket only: the mode of its file decides which users may connect, while TCP would let everybody in.
        case unix
    }

    /// The name from `FileDescriptorName=` in the socket unit.
    package let name: String
    /// The descriptor, close-on-exec and non-blocking. Whoever takes the socket owns it.
    package let descriptor: Int32
    /// The address in the usual notation: `[::]:8080`, `127.0.0.1:80`, `/run/wsd/io.wsd.Control`, `@abstract`.
    package let address: String
    /// The TCP port; nil for a Unix socket.
    package let port: UInt16?

    /// Checks a descriptor and makes it ready to serve.
    package init(name: String, descriptor: Int32, family: Family) throws(PassedSocketError) {
        guard fcntl(descriptor, F_GETFD) >= 0 else {
            throw PassedSocketError(name: name, descriptor: descriptor, problem: .notOpen)
        }
        guard sd_is_socket(descriptor, AF_UNSPEC, Int32(SOCK_STREAM.rawValue), 1) > 0 else {
            throw PassedSocketError(name: name, descriptor: descriptor, problem: .notListening)
        }
        let bound = Self.boundAddress(of: descriptor)
        if family == .unix, bound.family != AF_UNIX {
            throw PassedSocketError(name: name, descriptor: descriptor, problem: .notUnix(address: bound.text))
        }
        // systemd sets close-on-exec for sd_listen_fds(3), but other parents that speak the protocol need not; and the
        // data plane must never block in accept(2).
        let flags = fcntl(descriptor, F_GETFL)
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0, flags >= 0,
            fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0
        else {
            throw PassedSocketError(name: name, descriptor: descriptor, problem: .notOpen)
        }
        self.name = name
        self.descriptor = descriptor
        self.address = bound.text
        self.port = bound.port
    }

    private static func boundAddress(of descriptor: Int32) -> (family: Int32, text: String, port: UInt16?) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { return (AF_UNSPEC, "unknown address", nil) }
        let family = Int32(storage.ss_family)
        return withUnsafeBytes(of: storage) { bytes in
            switch family {
            case AF_INET:
                let address = bytes.loadUnaligned(as: sockaddr_in.self)
                let port = UInt16(bigEndian: address.sin_port)
                return (family, "\(numeric(address.sin_addr, family: family)):\(port)", port)
            case AF_INET6:
                let address = bytes.loadUnaligned(as: sockaddr_in6.self)
                let port = UInt16(bigEndian: address.sin6_port)
                return (family, "[\(numeric(address.sin6_addr, family: family))]:\(port)", port)
            case AF_UNIX:
                let offset = MemoryLayout<sockaddr_un>.offset(of: \sockaddr_un.sun_path) ?? 2
                return (family, path(UnsafeRawBufferPointer(rebasing: bytes[offset..<max(offset, Int(length))])), nil)
            default:
                return (family, "address family \(family)", nil)
            }
        }
    }

    private static func numeric<Address>(_ address: Address, family: Int32) -> String {
        withUnsafeBytes(of: address) { source in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
                guard let text = text.baseAddress,
                    inet_ntop(family, source.baseAddress, text, socklen_t(INET6_ADDRSTRLEN)) != nil
                else { return "?" }
                return String(cString: text)
            }
        }
    }

    /// The name of a Unix socket: a path that ends with a zero byte, or an abstract name that begins with one.
    private static func path(_ bytes: UnsafeRawBufferPointer) -> String {
        guard let first = bytes.first else { return "unnamed" }
        if first == 0 { return "@" + String(decoding: bytes.dropFirst(), as: UTF8.self) }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// The reason why a passed descriptor can't serve under its name.
package struct PassedSocketError: Error, Equatable, CustomStringConvertible {
    /// The kinds of problem.
    package enum Problem: Sendable, Equatable {
        /// Not an open descriptor of this process.
        case notOpen
        /// A datagram socket, a connection (`Accept=yes`), a file or a FIFO.
        case notListening
        /// A socket other than a Unix socket, although the file mode has to decide which users may connect.
        case notUnix(address: String)
    }

    /// The name from `FileDescriptorName=`.
    package let name: String
    /// The number of the descriptor.
    package let descriptor: Int32
    /// The problem.
    package let problem: Problem

    /// The problem and the way out, for the author of the socket unit.
    package var description: String {
        let what = "socket \"\(LogText.escaped(name))\" (descriptor \(descriptor)) passed by the service manager"
        switch problem {
        case .notOpen:
            return "\(what) is not open"
        case .notListening:
            return "\(what) is not a listening stream socket: use ListenStream= and Accept=no in the socket unit"
        case .notUnix(let address):
            return "\(what) listens on \(address), but must be a Unix socket: its file mode decides who may connect"
        }
    }
}
