internal import NIOHTTP1
internal import WebSocket

/// The head's statements about the body and the connection.
extension HTTPRequestHead {
    /// The length of the body according to the head; the parser has already refused values that are not numbers.
    var declaredByteCount: Int { headers.first(name: "content-length").flatMap { Int($0.trimmed) } ?? 0 }

    /// Whether the body comes in chunks, so that its length is unknown.
    var isChunked: Bool { headers.contains(name: "transfer-encoding") }

    /// Whether the client waits for permission to send the body (RFC 9110, section 10.1.1).
    var expectsContinue: Bool {
        version != .http1_0 && (isChunked || declaredByteCount > 0)
            && headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" }
    }

    /// Whether another request may follow. None can follow a request for another protocol, because NIO's parser then no
    /// longer parses HTTP. Java's HttpClient asks for h2c on every new connection.
    var allowsAnother: Bool {
        isKeepAlive && method != .CONNECT && !headers.contains(name: "upgrade") && !(version == .http1_0 && isChunked)
    }

    /// The error that makes the request invalid (RFC 9112, sections 3.2 and 6.1); nil if there is none.
    var problem: Problem? {
        let hosts = headers["host"].count
        if hosts > 1 || hosts == 0 && version != .http1_0 {
            return Problem(.badRequest, "there must be one Host field, and there are \(hosts)")
        }
        let codings = headers[canonicalForm: "transfer-encoding"]
        guard codings.isEmpty || codings.count == 1 && codings[0].lowercased() == "chunked" else {
            return Problem(.notImplemented, "the only Transfer-Encoding is chunked")
        }
        return nil
    }
}

extension Problem {
    /// The problem for an error of the parser.
    init(_ error: HTTPParserError) {
        switch error {
        case .headerOverflow:
            self.init(
                .requestHeaderFieldsTooLarge,
                "the target and the fields may have \(APIServer.maximumHeadByteCount) bytes and there may be "
                    + "\(APIServer.maximumFieldCount) fields")
        case .invalidVersion: self.init(.badRequest, "this is no HTTP/1.1: invalid HTTP version")
        default: self.init(.badRequest, "this is no HTTP/1.1: \(error)")
        }
    }
}
