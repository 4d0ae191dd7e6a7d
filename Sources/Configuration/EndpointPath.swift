/// The rule for the path of an endpoint. Requests are compared with it byte for byte, so it has to be written as
/// clients send it.
enum EndpointPath {
    /// The paths that the daemon serves itself, on this port or on that of the API, so that a probe at the wrong port
    /// gets a clear answer.
    static let reserved = ["/", "/favicon.ico", "/healthz", "/metrics", "/readyz", "/wsd.d.ts", "/wsd.js"]

    static func parse(_ text: String) throws(InvalidValue) -> String {
        let shown = quoted(text)
        guard text.hasPrefix("/") else {
            throw InvalidValue("\(shown) does not begin with \"/\"; write \(quoted("/" + text))")
        }
        if let end = text.firstIndex(where: { $0 == "?" || $0 == "#" }) {
            throw InvalidValue("\(shown) goes on after the path; write \(quoted(text[..<end]))")
        }
        guard text != "/" else {
            throw InvalidValue("\"/\" is the chat page; take another path, such as \"/ws\"")
        }
        guard !reserved.contains(text) else {
            throw InvalidValue("\(shown) is reserved for the daemon; take another path, such as \"/ws\"")
        }
        guard text.utf8.allSatisfy(isPathByte) else {
            throw InvalidValue("\(shown) holds a character that a URL has as \"%\" and two digits; write it so")
        }
        guard !text.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) else {
            throw InvalidValue("\(shown) has a \".\" or \"..\", which clients resolve before they ask; leave it out")
        }
        guard text.utf8.count <= 1024 else {
            throw InvalidValue("the path has \(text.utf8.count) bytes; it may have 1024 at most")
        }
        return text
    }

    /// The characters of a path in RFC 3986, 3.3, and "%".
    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "/-._~!$&'()*+,;=:@%".utf8.contains(byte)
        }
    }
}
