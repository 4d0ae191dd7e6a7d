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

/// SHA-1 (RFC 3174) of a short input. The opening handshake needs it as a fingerprint, not for security (RFC 6455,
/// section 10.8), and one call per connection is no reason to link a cryptography library.
enum SHA1 {
    static func digest(of message: some Collection<UInt8>) -> [UInt8] {
        var bytes = Array(message)
        let bitCount = UInt64(bytes.count) * 8
        bytes.append(0x80)
        while bytes.count % 64 != 56 { bytes.append(0) }
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: bitCount >> shift)) }

        var h: (UInt32, UInt32, UInt32, UInt32, UInt32) = (
            0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0
        )
        var words = [UInt32](repeating: 0, count: 80)
        for block in stride(from: 0, to: bytes.count, by: 64) {
            for index in 0..<16 {
                let at = block + index * 4
                words[index] =
                    UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8
                    | UInt32(bytes[at + 3])
            }
            for index in 16..<80 {
                let mixed = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]
                words[index] = mixed << 1 | mixed >> 31
            }
            var (a, b, c, d, e) = h
            for index in 0..<80 {
                let (f, k): (UInt32, UInt32) =
                    switch index {
                    case 0..<20: (b & c | ~b & d, 0x5A82_7999)
                    case 20..<40: (b ^ c ^ d, 0x6ED9_EBA1)
                    case 40..<60: (b & c | b & d | c & d, 0x8F1B_BCDC)
                    default: (b ^ c ^ d, 0xCA62_C1D6)
                    }
                let next = (a << 5 | a >> 27) &+ f &+ e &+ k &+ words[index]
                (a, b, c, d, e) = (next, a, b << 30 | b >> 2, c, d)
            }
            h = (h.0 &+ a, h.1 &+ b, h.2 &+ c, h.3 &+ d, h.4 &+ e)
        }
        return [h.0, h.1, h.2, h.3, h.4].flatMap { word in
            [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> $0) }
        }
    }
}

/// Base64 with padding (RFC 4648, section 4), as the opening handshake uses it.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Encodes `bytes` with padding.
    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for (index, byte) in group.enumerated() { bits |= UInt32(byte) << (16 - 8 * index) }
            for index in 0..<4 {
                text.append(index <= group.count ? alphabet[Int(bits >> (18 - 6 * index)) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The number of bytes that `text` decodes to; nil if it is not Base64 with correct padding.
    package static func decodedByteCount(_ text: String) -> Int? {
        text.withBytes { text in
            guard text.count % 4 == 0 else { return nil }
            let padding = text.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
            guard text.part(0..<(text.count - padding)).allSatisfy(isInAlphabet) else { return nil }
            return text.count / 4 * 3 - padding
        }
    }

    private static func isInAlphabet(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}
