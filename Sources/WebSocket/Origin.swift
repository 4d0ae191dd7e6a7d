/// The Origin of a browser's request (RFC 6454; RFC 6455, section 10.2).
package enum Origin {
    /// Whether `origin` is a page of the very host the request was sent to.
    ///
    /// The scheme is not compared: behind a proxy that ends TLS the server can't know it. A port that is the scheme's
    /// default counts as none.
    package static func isSameHost(_ origin: String, host: String) -> Bool {
        guard let mark = origin.range(ofASCII: "://") else { return false }
        let scheme = origin[..<mark.lowerBound].lowercased()
        let defaultPort =
            switch scheme {
            case "http", "ws": ":80"
            case "https", "wss": ":443"
            default: ""
            }
        let normalised = { (authority: String) -> String in
            !defaultPort.isEmpty && authority.hasSuffix(defaultPort) && !authority.hasSuffix(":" + defaultPort)
                ? String(authority.dropLast(defaultPort.count)) : authority
        }
        return normalised(origin[mark.upperBound...].lowercased()) == normalised(host.lowercased())
    }
}

extension String {
    fileprivate func range(ofASCII text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
