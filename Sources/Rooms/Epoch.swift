/// Names one life of a channel's numbering, so that a number from another is not taken for one of this.
package enum Epoch {
    /// 64 random bits in base 36.
    package static func random() -> String { String(UInt64.random(in: .min ... .max), radix: 36) }
}
