/// The URL of a server: a `ws:` URL (RFC 6455, section 3).
struct WebSocketURL: Equatable, Sendable {
    /// The error in a URL.
    struct Invalid: Error, Equatable {
        var message: String
        var advice: String?
    }

    /// The host's name or address, without brackets.
    var host: String
    var port: UInt16
    /// The path and the query in the form of the request line.
    var target: String
    /// The URL as it was given.
    var text: String

    init(_ text: String) throws(Invalid) {
        self.text = text
        guard let separator = Self.schemeEnd(text) else {
            throw Invalid(
                message: "'\(text)' is no URL", advice: "Write ws://HOST:PORT/PATH, such as ws://127.0.0.1:8080/ws.")
        }
        let scheme = text[..<separator].lowercased()
        guard scheme != "wss" && scheme != "https" else {
            throw Invalid(
                message: "'\(text)': wsbench speaks no TLS",
                advice: "Measure the hub itself by ws://, behind the proxy that ends TLS.")
        }
        guard scheme == "ws" else { throw Invalid(message: "'\(text)': the scheme has to be ws, not \(scheme)") }
        let rest = text[text.index(separator, offsetBy: 3)...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let tail = rest[authority.endIndex...]
        guard tail.utf8.allSatisfy({ 0x21...0x7E ~= $0 }), !tail.contains("#"), !authority.contains("@") else {
            throw Invalid(message: "'\(text)': no user, no fragment, and anything beyond ASCII percent-encoded, please")
        }
        target = tail.first == "/" ? String(tail) : "/" + tail
        (host, port) = try Self.split(authority, of: text)
    }

    private static func schemeEnd(_ text: String) -> String.Index? {
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return nil }
        return colon
    }

    private static func split(_ authority: Substring, of text: String) throws(Invalid) -> (String, UInt16) {
        var host = authority
        var port: Substring?
        if authority.first == "[", let end = authority.firstIndex(of: "]") {
            host = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else {
                throw Invalid(message: "'\(text)': no port after the address")
            }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = authority.lastIndex(of: ":") {
            host = authority[..<colon]
            port = authority[authority.index(after: colon)...]
        }
        guard !host.isEmpty else { throw Invalid(message: "'\(text)' names no host") }
        guard let port else { return (String(host), 80) }
        guard let number = UInt16(port), number > 0 else { throw Invalid(message: "'\(text)': '\(port)' is no port") }
        return (String(host), number)
    }

    /// The value of the Host header.
    var hostField: String { (host.contains(":") ? "[\(host)]" : host) + (port == 80 ? "" : ":\(port)") }
}
