/// Why a text is no duration, size, address, range, origin or path: a sentence that holds the value and the way out.
package struct InvalidValue: Error, Sendable, Equatable, CustomStringConvertible {
    /// The sentence, without a full stop.
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
