/// Finds and parses a request head in what a client has sent so far. No state: the caller keeps the bytes.
package enum RequestParser {
    /// What the bytes so far amount to.
    package enum Result {
        /// The head's end has not arrived; what there is looks right so far.
        case incomplete
        /// The head, and how many bytes it took. What follows belongs to the WebSocket.
        case complete(RequestHead, byteCount: Int)
        case refused(Refusal)
    }

    /// Parses the head at the front of `bytes`, of which the first `scannedCount` bytes were seen before without its end.
    ///
    /// - Parameter limit: the most bytes a head may have; beyond it 431.
    package static func parse(_ bytes: UnsafeRawBufferPointer, scannedCount: Int, limit: Int) -> Result {
        // RFC 9112, section 2.2: an empty line before the request line is ignored.
        let start = bytes.count >= 2 && bytes[0] == cr && bytes[1] == lf ? 2 : 0
        guard bytes.count > start, bytes.count > 1 || bytes[0] != cr else { return .incomplete }
        if scannedCount < start + 24, let refusal = checkMethod(bytes, from: start) { return .refused(refusal) }

        var position = max(start, scannedCount - 3)
        while let end = lineFeed(in: bytes, from: position) {
            guard end > start, bytes[end - 1] == cr else {
                return .refused(Refusal(.badRequest, "a line ends without a carriage return"))
            }
            if end >= start + 3, bytes[end - 2] == lf {
                let count = end + 1
                guard count - start <= limit else { return .refused(tooLarge(limit)) }
                do throws(Refusal) {
                    let head = UnsafeRawBufferPointer(rebasing: bytes[start..<(end - 3)])
                    return .complete(try parseLines(head), byteCount: count)
                } catch {
                    return .refused(error)
                }
            }
            position = end + 1
        }
        return bytes.count - start >= limit ? .refused(tooLarge(limit)) : .incomplete
    }

    private static let cr = UInt8(ascii: "\r")
    private static let lf = UInt8(ascii: "\n")

    private static func tooLarge(_ limit: Int) -> Refusal {
        Refusal(.requestHeaderFieldsTooLarge, "the request's header is larger than \(limit) bytes")
    }

    private static func lineFeed(in bytes: UnsafeRawBufferPointer, from position: Int) -> Int? {
        var index = position
        while index < bytes.count {
            if bytes[index] == lf { return index }
            index += 1
        }
        return nil
    }

    /// A method is a short token; anything else at the front (a TLS hello, binary noise) is refused at once instead of
    /// when the handshake's time is over.
    private static func checkMethod(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Refusal? {
        for (index, byte) in bytes[start...].prefix(24).enumerated() {
            if byte == 0x20 { return index == 0 ? notHTTP : nil }
            guard isToken(byte) else { return notHTTP }
        }
        return bytes.count - start >= 24 ? notHTTP : nil
    }

    private static var notHTTP: Refusal { Refusal(.badRequest, "this is not an HTTP/1.1 request") }

    /// RFC 9110, section 5.6.2.
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case 0x21, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    private static func parseLines(_ head: UnsafeRawBufferPointer) throws(Refusal) -> RequestHead {
        var lines = head.split(separator: lf, omittingEmptySubsequences: false)[...]
        guard let first = lines.popFirst() else { throw notHTTP }
        let parts = withoutReturn(first).split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[1].isEmpty, parts[0].allSatisfy(isToken) else { throw notHTTP }
        let version = String(decoding: parts[2], as: UTF8.self)
        guard version == "HTTP/1.1" else {
            if version == "HTTP/1.0" { throw Refusal(.badRequest, "HTTP/1.0 cannot be upgraded; use HTTP/1.1") }
            if version.hasPrefix("HTTP/") {
                throw Refusal(.httpVersionNotSupported, "only HTTP/1.1 is spoken here")
            }
            throw notHTTP
        }
        guard parts[1].allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Refusal(.badRequest, "the request target has a character that must be percent-encoded")
        }
        let (path, query) = try split(target: String(decoding: parts[1], as: UTF8.self))
        var fields: [(name: String, value: String)] = []
        fields.reserveCapacity(lines.count)
        for line in lines { fields.append(try parseField(withoutReturn(line))) }
        return RequestHead(method: String(decoding: parts[0], as: UTF8.self), path: path, query: query, fields: fields)
    }

    private static func withoutReturn(_ line: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
        line.last == cr ? line.dropLast() : line
    }

    /// Origin form, or absolute form as RFC 9112, section 3.2.2, makes every server accept.
    private static func split(target: String) throws(Refusal) -> (path: String, query: String?) {
        var rest = target[...]
        for scheme in ["http://", "https://", "ws://", "wss://"] where rest.lowercased().hasPrefix(scheme) {
            let authority = rest.dropFirst(scheme.count)
            rest = authority.firstIndex { $0 == "/" || $0 == "?" }.map { authority[$0...] } ?? "/"
            if rest.first == "?" { rest = "/" + rest }
            break
        }
        guard rest.first == "/" || rest == "*" else {
            throw Refusal(.badRequest, "the request target does not begin with /")
        }
        guard !rest.contains("#") else { throw Refusal(.badRequest, "the request target has a fragment") }
        guard let mark = rest.firstIndex(of: "?") else { return (String(rest), nil) }
        return (String(rest[..<mark]), String(rest[rest.index(after: mark)...]))
    }

    private static func parseField(
        _ line: Slice<UnsafeRawBufferPointer>
    ) throws(Refusal) -> (name: String, value: String) {
        if line.first == 0x20 || line.first == 0x09 {
            throw Refusal(.badRequest, "a folded header line is not accepted")
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
            line[..<colon].allSatisfy(isToken)
        else { throw Refusal(.badRequest, "a header line is not of the form \"name: value\"") }
        let value = line[(colon + 1)...]
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw Refusal(.badRequest, "a header value has a control character")
        }
        let text = String(decoding: value, as: UTF8.self)
        return (
            String(decoding: line[..<colon], as: UTF8.self).lowercased(),
            String(text.trimmed)
        )
    }
}
