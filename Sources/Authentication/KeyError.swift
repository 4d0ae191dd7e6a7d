/// A key that cannot be used: which, why, and the way out. Never holds the key.
package struct KeyError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// Everything that is wrong with the keys.
package struct KeyErrors: Error, Sendable {
    package let errors: [KeyError]

    package init(errors: [KeyError]) { self.errors = errors }
}
