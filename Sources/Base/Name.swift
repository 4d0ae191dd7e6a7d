/// The name of a channel or a user, compared by its bytes.
///
/// Swift's own strings are equal if they are the same text in Unicode ("é" as one scalar or as two, "K" and the Kelvin
/// sign). Access rules and the choice of a channel's home compare bytes, and so must everything else; otherwise two
/// names would be one channel with two homes.
package struct Name: Hashable, Comparable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (one: Name, other: Name) -> Bool {
        one.text.utf8.count == other.text.utf8.count && one.text.utf8.elementsEqual(other.text.utf8)
    }

    package static func < (one: Name, other: Name) -> Bool { one.text.utf8.lexicographicallyPrecedes(other.text.utf8) }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
