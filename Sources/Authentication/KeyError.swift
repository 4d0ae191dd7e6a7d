/// An error of a key: which key, the reason, and the way out. Never contains the key.
package struct KeyError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// All errors of the keys.
package struct KeyErrors: Error, Sendable {
    package let errors: [KeyError]

    package init(errors: [KeyError]) { self.errors = errors }
}
