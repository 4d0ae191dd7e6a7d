import ArgumentParser
import WebSocket

/// The client's side of the opening handshake (RFC 6455, section 4.1), the same for every connection to a target: with
/// one key per run, making and checking it costs nothing while the server's cost is measured.
struct HandshakeRequest: Sendable {
    /// The request, ready to be sent.
    var bytes: [UInt8]
    /// The expected value of Sec-WebSocket-Accept.
    var accept: String
    /// Whether permessage-deflate is offered.
    var offersCompression: Bool

    init(url: WebSocketURL, key: String, fields: [HeaderField], offersCompression: Bool) {
        var text =
            "GET \(url.target) HTTP/1.1\r\nHost: \(url.hostField)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        text += "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n"
        if offersCompression {
            text +=
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
        }
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        bytes = Array((text + "\r\n").utf8)
        accept = Handshake.acceptValue(key: key)
        self.offersCompression = offersCompression
    }
}

/// The server's response to the opening handshake (RFC 6455, section 4.1).
enum HandshakeResponse: Equatable {
    /// The end of the head has not arrived.
    case incomplete
    /// The WebSocket is open; with the size of the head.
    case open(byteCount: Int, isCompressed: Bool)
    /// An HTTP status other than 101.
    case refused(status: Int)
    /// An invalid response, with the reason.
    case wrong(String)

    /// The maximum size of a head.
    static let maximumByteCount = 16 << 10

    /// Parses the response to `request` from the bytes that have arrived.
    static func parse(_ bytes: UnsafeRawBufferPointer, for request: HandshakeRequest) -> HandshakeResponse {
        guard let end = headEnd(bytes) else {
            return bytes.count < maximumByteCount ? .incomplete : .wrong("a head of more than 16 KiB")
        }
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: true)[...]
        let words = lines.popFirst()?.split(separator: " ", maxSplits: 2) ?? []
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]), 100...599 ~= status else {
            return .wrong("no HTTP answer")
        }
        guard status == 101 else { return .refused(status: status) }
        var fields: [String: String] = [:]
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { return .wrong("a header line without a colon") }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            fields[line[..<colon].lowercased()] = String(value)
        }
        guard fields["upgrade"]?.lowercased() == "websocket" else { return .wrong("101 without Upgrade: websocket") }
        guard fields["sec-websocket-accept"] == request.accept else { return .wrong("a wrong Sec-WebSocket-Accept") }
        guard let agreed = fields["sec-websocket-extensions"] else { return .open(byteCount: end, isCompressed: false) }
        guard request.offersCompression, agreed.hasPrefix("permessage-deflate"),
            agreed.contains("server_no_context_takeover")
        else { return .wrong("an extension that was not offered: \(agreed)") }
        return .open(byteCount: end, isCompressed: true)
    }

    private static func headEnd(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 3
        while index < bytes.count {
            if bytes[index] == 0x0A, bytes[index - 1] == 0x0D, bytes[index - 2] == 0x0A { return index + 1 }
            index += 1
        }
        return nil
    }
}

/// A header of the handshake's request: `Name: value`.
struct HeaderField: ExpressibleByArgument, Equatable {
    var name: String
    var value: String

    /// The headers that the handshake itself sets.
    private static let reserved = [
        "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
    ]

    init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    init?(argument: String) {
        guard let colon = argument.firstIndex(of: ":") else { return nil }
        name = String(argument[..<colon])
        value = String(argument[argument.index(after: colon)...].drop { $0 == " " })
        let isToken = name.utf8.allSatisfy { 0x21...0x7E ~= $0 && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
        guard !name.isEmpty, isToken, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }),
            !Self.reserved.contains(name.lowercased())
        else { return nil }
    }
}
