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
