/// Where a broker is, and how one logs in there.
package struct BrokerURL: Sendable, Equatable, CustomStringConvertible {
    /// The way to the broker.
    package enum Scheme: String, Sendable, CaseIterable {
        /// TCP.
        case redis
        /// TCP with TLS.
        case rediss
        /// A Unix socket.
        case unix
    }

    package var scheme: Scheme
    /// A name or an address, without brackets; empty for a Unix socket.
    package var host = ""
    package var port = 6379
    /// The path of a Unix socket.
    package var path = ""
    /// The user and the password; nil where none is given.
    package var user: String?
    package var password: String?
    package var database = 0
    /// The URL as it was written.
    package let text: String

    /// The URL without user and password, for messages.
    package var description: String {
        let suffix = database == 0 ? "" : scheme == .unix ? "?db=\(database)" : "/\(database)"
        guard scheme != .unix else { return "unix://\(path)\(suffix)" }
        return "\(scheme.rawValue)://\(host.contains(":") ? "[\(host)]" : host):\(port)\(suffix)"
    }

    /// A URL of which only the scheme and the text are known.
    package init(scheme: Scheme, text: String) {
        self.scheme = scheme
        self.text = text
    }
}
