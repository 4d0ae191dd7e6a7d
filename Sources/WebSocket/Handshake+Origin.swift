extension Handshake {
    /// Whether the origin of a browser's request has the same host as the request (RFC 6454; RFC 6455, section 10.2).
    ///
    /// The scheme is not compared: behind a proxy that terminates TLS, the server can't know it. The default port of
    /// the scheme equals no port.
    package static func isSameHost(_ origin: String, host: String) -> Bool {
        origin.withBytes { origin in
            guard let end = endOfScheme(origin) else { return false }
            let scheme = origin.part(0..<end)
            let defaultPort: StaticString =
                if scheme.isWord("http") || scheme.isWord("ws") {
                    ":80"
                } else if scheme.isWord("https") || scheme.isWord("wss") {
                    ":443"
                } else {
                    ""
                }
            let page = withoutPort(origin.part((end + 3)..<origin.count), defaultPort)
            return host.withBytes { host in
                let host = withoutPort(host, defaultPort)
                return page.count == host.count
                    && page.elementsEqual(host) {
                        UnsafeRawBufferPointer.lowercase($0) == UnsafeRawBufferPointer.lowercase($1)
                    }
            }
        }
    }

    /// The index of the first "://"; nil without one.
    private static func endOfScheme(_ origin: UnsafeRawBufferPointer) -> Int? {
        var position = 0
        while let colon = origin.index(of: UInt8(ascii: ":"), from: position) {
            if origin.part(colon..<origin.count).hasPrefix("://") { return colon }
            position = colon + 1
        }
        return nil
    }

    /// Removes a default port. The end of "[::80" is part of an address, not a port.
    private static func withoutPort(
        _ authority: UnsafeRawBufferPointer, _ port: StaticString
    ) -> UnsafeRawBufferPointer {
        let end = authority.count - port.utf8CodeUnitCount
        guard end >= 0, authority.part(end..<authority.count).hasPrefix(port),
            end == 0 || authority[end - 1] != UInt8(ascii: ":")
        else { return authority }
        return authority.part(0..<end)
    }
}
