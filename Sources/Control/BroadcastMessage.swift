internal import FoundationEssentials

/// A message that an administrator sends to many.
package struct BroadcastMessage: Sendable, Hashable {
    /// The contents; UTF-8 unless the message is binary.
    package let payload: [UInt8]
    /// Whether it is sent as a binary message rather than as text.
    package let isBinary: Bool
    /// Whether clients of the `json` protocol get it as a string even if it looks like another JSON value.
    package let isPlainText: Bool

    /// A text message; clients of the `json` protocol get JSON as the value it is, and anything else as a string.
    package init(text: String) { self.init(utf8: Array(text.utf8)) }

    /// The same, of bytes that are UTF-8.
    package init(utf8: [UInt8]) {
        payload = utf8
        isBinary = false
        isPlainText = false
    }

    /// A text message that all clients of the `json` protocol get as a string.
    package init(plainText: String) {
        payload = Array(plainText.utf8)
        isBinary = false
        isPlainText = true
    }

    /// A binary message.
    package init(data: [UInt8]) {
        payload = data
        isBinary = true
        isPlainText = false
    }

    /// A binary message in Base64 (RFC 4648, section 4); nil for anything else. Foundation accepts much more.
    package init?(base64: String) {
        guard let data = Data(base64Encoded: base64), data.base64EncodedString().utf8.elementsEqual(base64.utf8) else {
            return nil
        }
        self.init(data: Array(data))
    }
}

/// A message for a channel.
package struct ChannelMessage: Sendable, Hashable {
    /// The channel's name.
    package let channel: String
    /// The message itself.
    package let message: BroadcastMessage

    /// A message for a channel.
    package init(channel: String, message: BroadcastMessage) {
        self.channel = channel
        self.message = message
    }
}
