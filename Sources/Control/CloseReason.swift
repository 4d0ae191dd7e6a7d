/// The code and the text that a connection is closed with (RFC 6455, section 7.4).
package struct CloseReason: Sendable, Hashable {
    /// The maximum number of bytes of text that fit into a close frame besides the code.
    package static let maxTextByteCount = 123

    /// The close code.
    package let code: UInt16
    /// The reason for a human reader; at most ``maxTextByteCount`` bytes of UTF-8.
    package let text: String

    /// Checks a code and a text.
    ///
    /// Allowed are the codes that an administrator may use: 1000, 1001, 1008, 1011, 1012, 1013, and 3000 to 4999 of
    /// libraries and applications. The other codes accuse the peer of a protocol error, or may not be sent at all.
    package init(code: Int, text: String) throws(ControlError) {
        switch code {
        case 1000, 1001, 1008, 1011, 1012, 1013, 3000...4999: self.code = UInt16(code)
        default: throw .invalidCloseCode(code)
        }
        guard text.utf8.count <= Self.maxTextByteCount else {
            throw .reasonTooLong(byteCount: text.utf8.count, limit: Self.maxTextByteCount)
        }
        self.text = text
    }
}
