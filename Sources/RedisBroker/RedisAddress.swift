import Base

/// Where a Redis server listens.
package enum RedisAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name, an IPv4 or an IPv6 address, without brackets, and a port.
    case tcp(host: String, port: Int)
    /// A Unix socket.
    case unix(path: String)

    /// An address from its text: a path, `host`, `host:port`, `[IPv6]` or `[IPv6]:port`; nil for anything else. The port
    /// is 6379 if there is none.
    package init?(_ text: String) {
        if text.hasPrefix("/") {
            self = .unix(path: text)
            return
        }
        var host = text[...]
        var port = 6379
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            guard let number = UInt16(host[host.index(after: colon)...]), number > 0 else { return nil }
            port = Int(number)
            host = host[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, !host.contains("/"), !host.contains(" ") else { return nil }
        self = .tcp(host: String(host), port: port)
    }

    /// The host; nil for a Unix socket.
    var host: String? { if case .tcp(let host, _) = self { host } else { nil } }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }
}
