/// Names one life of a channel's numbering, so that a number from another is not taken for one of this.
package enum Epoch {
    /// The most bytes that an epoch has which a client may know of.
    static let maximumByteCount = 64

    /// 64 random bits in base 36.
    package static func random() -> String { String(UInt64.random(in: .min ... .max), radix: 36) }
}
