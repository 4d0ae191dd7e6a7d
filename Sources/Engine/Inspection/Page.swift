import WebSocket

/// A document served on the WebSocket port. Its responses are built once.
package struct Page: Sendable {
    let answer: Segment
    let headOnly: Segment
    let notModified: Segment
    let entityTag: String
    /// Whether people open it, who can be redirected to https.
    let isForPeople: Bool

    /// - Parameters:
    ///   - entityTag: a strong validator in quotes (RFC 9110, section 8.8.3).
    ///   - fields: further response fields, such as Content-Security-Policy.
    ///   - isForPeople: whether it is redirected to https where that is wanted.
    package init(
        body: [UInt8], contentType: String, entityTag: String, fields: [String], isForPeople: Bool = false
    ) {
        self.entityTag = entityTag
        self.isForPeople = isForPeople
        let common =
            "ETag: \(entityTag)\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"
            + fields.map { $0 + "\r\n" }.joined() + "Connection: close\r\n"
        let head = "HTTP/1.1 200 OK\r\nContent-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n\(common)\r\n"
        answer = Segment(copying: Array(head.utf8) + body)
        headOnly = Segment(copying: Array(head.utf8))
        notModified = Segment(copying: Array("HTTP/1.1 304 Not Modified\r\n\(common)\r\n".utf8))
    }

    /// Whether an If-None-Match field names this version (RFC 9110, section 13.1.2: weak comparison).
    func matches(ifNoneMatch head: RequestHead) -> Bool {
        head.hasElement("if-none-match") { tag in
            let isWeak = tag.count > 2 && tag[0] == UInt8(ascii: "W") && tag[1] == UInt8(ascii: "/")
            return tag.equals("*") || (isWeak ? tag.part(2..<tag.count) : tag).equals(entityTag)
        }
    }
}

/// The elements that a worker found in some of its places. It searches the others in later turns, so that nothing has
/// to wait for a pass over all of them.
struct Slice<Element: Sendable>: Sendable {
    var found: [Element]
    /// The place to continue from; nil after the last.
    var next: UInt32?
}
