package import Base
import CLinux
import Glibc

/// A socket that accepts WebSocket clients, bound by this process or passed by systemd.
package struct ListeningSocket: Sendable, Hashable {
    package let descriptor: Int32
    /// The address as text: `127.0.0.1:8080`, `[::]:8080`, `unix:/path`.
    package let address: String
    /// Whether this process has bound the socket, and closes it when it stops accepting. A passed socket stays open in
    /// systemd.
    package let isOwn: Bool
    /// Whether its clients begin with TLS.
    package let isSecure: Bool

    /// Wraps a socket that already listens.
    package init(passed descriptor: Int32, address: String, isSecure: Bool = false) {
        self.descriptor = descriptor
        self.address = address
        self.isSecure = isSecure
        isOwn = false
        prepare()
    }

    /// Binds and listens on an address and port; port 0 takes any free one.
    ///
    /// - Parameter host: an IPv4 or IPv6 address; `::` also accepts IPv4 clients, and only those if the kernel has no
    ///   IPv6.
    package init(host: IPAddress, port: UInt16, isSecure: Bool = false) throws(ListenError) {
        do throws(ListenError) {
            try self.init(binding: host, port: port, isSecure: isSecure)
        } catch {
            guard host == .anyIPv6, error.errno == EAFNOSUPPORT || error.errno == EADDRNOTAVAIL else { throw error }
            try self.init(binding: .anyIPv4, port: port, isSecure: isSecure)
        }
    }

    private init(binding host: IPAddress, port: UInt16, isSecure: Bool) throws(ListenError) {
        let shown = { (port: UInt16) in host.isIPv4 ? "\(host):\(port)" : "[\(host)]:\(port)" }
        let family = host.isIPv4 ? AF_INET : AF_INET6
        let socket = clinux_stream_socket(family)
        guard socket >= 0 else { throw ListenError(address: shown(port), call: "socket", errno: errno) }
        _ = clinux_set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1)
        if !host.isIPv4 { _ = clinux_set_option(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, host == .anyIPv6 ? 0 : 1) }
        var storage = host.socketAddress(port: port)
        let size = socklen_t(host.isIPv4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
        let bound = clinux_bind(socket, &storage, size)
        guard bound == 0, listen(socket, 65_535) == 0 else {
            let error = ListenError(address: shown(port), call: bound == 0 ? "listen" : "bind", errno: errno)
            Glibc.close(socket)
            throw error
        }
        _ = clinux_local_address(socket, &storage)
        descriptor = socket
        address = shown(IPAddress.parse(&storage).port)
        isOwn = true
        self.isSecure = isSecure
        prepare()
    }

    /// Whether only this machine can reach the socket: a Unix socket, or one on loopback.
    package var isLocal: Bool {
        var storage = sockaddr_storage()
        guard clinux_local_address(descriptor, &storage) == 0 else { return false }
        let address = IPAddress.parse(&storage).0
        return address == .none || address.isLoopback
    }

    func close() {
        if isOwn { Glibc.close(descriptor) }
    }

    /// Sets TCP_NODELAY, which accepted sockets inherit: a hub's small frames must not wait for an acknowledgement
    /// (Nagle).
    private func prepare() {
        _ = clinux_set_option(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        clinux_set_nonblocking(descriptor)
    }
}

/// The error of an address that can't be listened on.
package struct ListenError: Error, CustomStringConvertible, Sendable {
    package let address: String
    package let call: String
    package let errno: Int32

    package var description: String {
        let hint =
            switch errno {
            case EADDRINUSE:
                "; another program listens there: stop it, or choose another address in server.listen or listen_tls"
            case EACCES: "; ports below 1024 need privileges: let systemd pass the socket, or choose a higher port"
            case EADDRNOTAVAIL: "; no interface of this machine has that address"
            default: ""
            }
        return "cannot listen on \(address): \(call): \(String(cString: strerror(errno)))\(hint)"
    }
}
