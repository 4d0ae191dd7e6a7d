/// The identity of one run of a daemon among those that share a broker: 64 bits, chosen at random when it starts.
///
/// The text is base 32 in Crockford's alphabet, such as `3f9k2w8ht0q1z`.
package struct NodeID: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// A new identity.
    package static func random() -> NodeID { NodeID(rawValue: .random(in: 1 << 60 ... .max)) }

    /// Parses the text of an identity; nil for anything else.
    package init?(_ text: some StringProtocol) {
        guard let value = Base32.value(of: text) else { return nil }
        rawValue = value
    }

    package var description: String { Base32.text(of: rawValue) }
}
