/// The identifier of a channel's numbering, so that a number of an older numbering is not mistaken for one of this.
package enum Epoch {
    /// The maximum length in bytes of an epoch that a client may send.
    static let maximumByteCount = 64

    /// 64 random bits in base 36.
    /// Whether a text may be an epoch of `random`.
    package static func isOne(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 13
            && text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x7A ~= $0 }
    }

    package static func random() -> String { String(UInt64.random(in: .min ... .max), radix: 36) }
}
