internal import Base

/// A web origin (RFC 6454): a scheme, a host and a port, in lower case and with the scheme's default port filled in.
package struct Origin: Sendable, Hashable {
    package let scheme: String
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    package let host: String
    /// The port; nil for a scheme without a default port, such as "chrome-extension", if none is given.
    package let port: UInt16?

    /// Parses an `Origin` header, or a pattern without wildcards; nil if the text is not an origin.
    package init?(_ text: some StringProtocol) {
        // The longest host has 253 bytes.
        guard text.utf8.count <= 512 else { return nil }
        let text = text.lowercased()
        guard let separator = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<separator.lowerBound]
        guard Self.isScheme(scheme), let authority = Authority(text[separator.upperBound...]) else { return nil }
        self.scheme = String(scheme)
        host = authority.host
        port = authority.port ?? Self.defaultPorts[self.scheme]
    }

    private static let defaultPorts: [String: UInt16] = ["http": 80, "https": 443, "ws": 80, "wss": 443]

    /// A letter, then letters, digits, "+", "-" and "." (RFC 3986, 3.1), all lower case here.
    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, UInt8(ascii: "a")...UInt8(ascii: "z") ~= first else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): true
            default: false
            }
        }
    }

    /// A host and an optional port, as in the `Host` header.
    package struct Authority {
        /// The host, as in ``Origin/host``.
        package let host: String
        /// The port; nil for none.
        package let port: UInt16?

        /// Parses a host with or without a port; nil if the text is neither.
        package init?(_ text: Substring) {
            let afterHost: Substring.Index
            if text.hasPrefix("[") {
                guard let bracket = text.firstIndex(of: "]"),
                    let address = IPAddress(text[text.index(after: text.startIndex)..<bracket]),
                    text[..<bracket].contains(":")
                else { return nil }
                // In the canonical form, so that "[::1]" and "[0:0::1]" are the same host.
                host = "[\(address.ipv6Text)]"
                afterHost = text.index(after: bracket)
            } else {
                afterHost = text.firstIndex(of: ":") ?? text.endIndex
                host = text[..<afterHost].lowercased()
                guard Self.isName(host) else { return nil }
            }
            switch text[afterHost...].first {
            case nil: port = nil
            case ":":
                let digits = text[text.index(after: afterHost)...]
                guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
                    let number = UInt16(digits), number > 0
                else { return nil }
                port = number
            default: return nil
            }
        }

        /// Whether a text consists of non-empty labels of letters, digits, "-" and "_"; a browser sends other letters
        /// as "xn--…".
        private static func isName(_ text: some StringProtocol) -> Bool {
            text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                !label.isEmpty
                    && label.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                            true
                        default: false
                        }
                    }
            }
        }
    }
}
