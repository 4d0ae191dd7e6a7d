/// The server's side of the opening handshake (RFC 6455, section 4.2).
package enum Handshake {
    /// The result of checking a request head.
    package enum Outcome: Sendable {
        /// A correct handshake; the response is `response(accept:compression:)`.
        case upgrade(accept: String)
        case refused(Refusal)
    }

    /// Checks the head of a request that was sent to a WebSocket endpoint.
    package static func evaluate(_ head: RequestHead) -> Outcome {
        guard head.method == "GET" else {
            return .refused(Refusal(.methodNotAllowed, "a WebSocket is opened with GET", fields: ["Allow: GET"]))
        }
        guard head.hasElement("upgrade", { $0.isWord("websocket") }) else {
            return .refused(
                Refusal(
                    .upgradeRequired, "this is a WebSocket endpoint; send Upgrade: websocket", fields: upgradeFields)
            )
        }
        guard head.hasElement("connection", { $0.isWord("upgrade") }) else {
            return .refused(Refusal(.badRequest, "the Connection field does not name \"Upgrade\""))
        }
        guard head.values("sec-websocket-version") == ["13"] else {
            return .refused(
                Refusal(.upgradeRequired, "only WebSocket version 13 is spoken here", fields: upgradeFields)
            )
        }
        let keys = head.values("sec-websocket-key")
        guard keys.count == 1, Base64.decodedByteCount(keys[0]) == 16 else {
            return .refused(Refusal(.badRequest, "Sec-WebSocket-Key must be one value that decodes to 16 bytes"))
        }
        return .upgrade(accept: acceptValue(key: keys[0]))
    }

    /// Checks the requirements of every request, whatever it asks for (RFC 9112, section 3.2; a GET or HEAD request
    /// must have no body).
    package static func checkCommon(_ head: RequestHead) -> Refusal? {
        let hosts = head.values("host")
        guard hosts.count == 1 else {
            return Refusal(.badRequest, "exactly one Host field is required, not \(hosts.count)")
        }
        guard !hosts[0].utf8.contains(where: { $0 <= 0x20 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ",") })
        else {
            return Refusal(.badRequest, "the Host field is malformed")
        }
        if head.method == "GET" || head.method == "HEAD" {
            guard head.values("transfer-encoding").isEmpty,
                head.values("content-length").allSatisfy({ $0 == "0" })
            else { return Refusal(.badRequest, "a \(head.method) request with a body is not accepted") }
        }
        return nil
    }

    private static let upgradeFields = ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]

    /// The value of Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2, item 5.4).
    package static func acceptValue(key: String) -> String {
        Base64.encode(SHA1.digest(of: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
    }

    /// The response that opens the WebSocket.
    package static func response(accept: String, compression: PermessageDeflate?) -> [UInt8] {
        let extensions = compression.map { "Sec-WebSocket-Extensions: \($0.answer)\r\n" } ?? ""
        return Array(
            """
            HTTP/1.1 101 Switching Protocols\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Accept: \(accept)\r
            \(extensions)\r\n
            """.utf8
        )
    }

    /// A complete response to a refused request: status, one line of text, and the end of the connection.
    package static func response(_ refusal: Refusal, includesBody: Bool = true) -> [UInt8] {
        let body = refusal.reason + "\n"
        let isUpgrade = refusal.status == .upgradeRequired
        var text = "HTTP/1.1 \(refusal.status.rawValue) \(refusal.status.phrase)\r\n"
        for field in refusal.fields { text += field + "\r\n" }
        text += "Content-Type: text/plain; charset=utf-8\r\n"
        text += "Content-Length: \(body.utf8.count)\r\n"
        text += "X-Content-Type-Options: nosniff\r\n"
        text += isUpgrade ? "Connection: close, Upgrade\r\n\r\n" : "Connection: close\r\n\r\n"
        if includesBody { text += body }
        return Array(text.utf8)
    }
}
