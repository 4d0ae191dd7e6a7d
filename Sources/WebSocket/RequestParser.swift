/// Finds and parses a request head in the bytes that a client has sent so far. It has no state: the caller keeps the
/// bytes.
package enum RequestParser {
    /// The result of parsing the bytes so far.
    package enum Result {
        /// The head's end has not arrived; the bytes so far are correct.
        case incomplete
        /// The head and its length in bytes. The bytes after it belong to the WebSocket.
        case complete(RequestHead, byteCount: Int)
        case refused(Refusal)
    }

    /// The maximum number of fields in a head. A browser behind several proxies sends some thirty; each field makes
    /// every search for a field longer.
    package static let maximumFieldCount = 128

    /// Parses the head at the front of `bytes`. The first `scannedCount` bytes were scanned before and don't contain
    /// its end.
    ///
    /// - Parameter limit: the maximum size of a head in bytes; a head beyond it, or with more than `maximumFieldCount`
    ///   fields, is refused with 431.
    package static func parse(_ bytes: UnsafeRawBufferPointer, scannedCount: Int, limit: Int) -> Result {
        // RFC 9112, section 2.2: an empty line before the request line is ignored.
        let start = bytes.count >= 2 && bytes[0] == cr && bytes[1] == lf ? 2 : 0
        guard bytes.count > start, bytes.count > 1 || bytes[0] != cr else { return .incomplete }
        if scannedCount < start + 24, let refusal = checkMethod(bytes, from: start) { return .refused(refusal) }

        var position = max(start, scannedCount - 3)
        while let end = bytes.index(of: lf, from: position) {
            guard end > start, bytes[end - 1] == cr else {
                return .refused(Refusal(.badRequest, "a line ends without a carriage return"))
            }
            if end >= start + 3, bytes[end - 2] == lf {
                let count = end + 1
                guard count - start <= limit else { return .refused(tooLarge(limit)) }
                do throws(Refusal) {
                    let head = bytes.part(start..<(end - 3))
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

    /// Checks the method, a short token: anything else at the front (a TLS hello, binary noise) is refused at once
    /// instead of at the timeout of the handshake.
    private static func checkMethod(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Refusal? {
        for (index, byte) in bytes[start...].prefix(24).enumerated() {
            if byte == 0x20 { return index == 0 ? notHTTP : nil }
            guard isToken(byte) else { return notHTTP }
        }
        return bytes.count - start >= 24 ? notHTTP : nil
    }

    private static var notHTTP: Refusal { Refusal(.badRequest, "this is not an HTTP/1.1 request") }

    /// Whether the byte may be part of a token (RFC 9110, section 5.6.2).
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
        var lines = head.pieces(separatedBy: lf)
        guard let first = lines.next() else { throw notHTTP }
        let (method, target) = try parseRequestLine(withoutReturn(first))
        let (path, query) = try split(target: target)
        var fields: [(name: String, value: String)] = []
        fields.reserveCapacity(16)
        while let line = lines.next() {
            guard fields.count < maximumFieldCount else {
                throw Refusal(
                    .requestHeaderFieldsTooLarge, "the request's header has more than \(maximumFieldCount) fields")
            }
            fields.append(try parseField(withoutReturn(line)))
        }
        return RequestHead(method: method.text, path: path, query: query, fields: fields)
    }

    private static func parseRequestLine(
        _ line: UnsafeRawBufferPointer
    ) throws(Refusal) -> (method: UnsafeRawBufferPointer, target: UnsafeRawBufferPointer) {
        var parts = line.pieces(separatedBy: 0x20)
        guard let method = parts.next(), let target = parts.next(), let version = parts.next(), parts.next() == nil,
            !target.isEmpty, method.allSatisfy(isToken)
        else { throw notHTTP }
        guard version.equals("HTTP/1.1") else {
            if version.equals("HTTP/1.0") { throw Refusal(.badRequest, "HTTP/1.0 cannot be upgraded; use HTTP/1.1") }
            if version.starts(with: "HTTP/".utf8) {
                throw Refusal(.httpVersionNotSupported, "only HTTP/1.1 is spoken here")
            }
            throw notHTTP
        }
        guard target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Refusal(.badRequest, "the request target has a character that must be percent-encoded")
        }
        return (method, target)
    }

    private static func withoutReturn(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        line.last == cr ? line.part(0..<(line.count - 1)) : line
    }

    /// Splits a target in origin form, or in absolute form, which every server must accept (RFC 9112, section 3.2.2).
    private static func split(
        target: UnsafeRawBufferPointer
    ) throws(Refusal) -> (path: String, query: String?) {
        let isQuery = { (byte: UInt8) in byte == UInt8(ascii: "?") }
        var rest = target
        var hasPath = true
        if let scheme = ["http://", "https://", "ws://", "wss://"].first(where: { target.hasPrefix($0) }) {
            rest = target.part(scheme.utf8CodeUnitCount..<target.count)
            let end = rest.firstIndex { $0 == UInt8(ascii: "/") || isQuery($0) } ?? rest.count
            rest = rest.part(end..<rest.count)
            hasPath = rest.first == UInt8(ascii: "/")
        }
        guard !hasPath || rest.first == UInt8(ascii: "/") || rest.equals("*") else {
            throw Refusal(.badRequest, "the request target does not begin with /")
        }
        guard rest.index(of: UInt8(ascii: "#")) == nil else {
            throw Refusal(.badRequest, "the request target has a fragment")
        }
        let mark = rest.firstIndex(where: isQuery)
        let path = hasPath ? rest.part(0..<(mark ?? rest.count)).text : "/"
        return (path, mark.map { rest.part(($0 + 1)..<rest.count).text })
    }

    private static func parseField(_ line: UnsafeRawBufferPointer) throws(Refusal) -> (name: String, value: String) {
        if line.first == 0x20 || line.first == 0x09 {
            throw Refusal(.badRequest, "a folded header line is not accepted")
        }
        guard let colon = line.firstIndex(where: { !isToken($0) }), colon > 0, line[colon] == UInt8(ascii: ":") else {
            throw Refusal(.badRequest, "a header line is not of the form \"name: value\"")
        }
        let value = line.part((colon + 1)..<line.count)
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw Refusal(.badRequest, "a header value has a control character")
        }
        let name = String(unsafeUninitializedCapacity: colon) { target in
            for index in 0..<colon { target[index] = UnsafeRawBufferPointer.lowercase(line[index]) }
            return colon
        }
        return (name, value.trimmed.text)
    }
}
