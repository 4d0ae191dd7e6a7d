/// The reason why a text is not a valid duration, size, address, range, origin or path: a sentence with the value and
/// the way out.
package struct InvalidValue: Error, Sendable, Equatable, CustomStringConvertible {
    /// The sentence, without a full stop.
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
