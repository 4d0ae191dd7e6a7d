/// The rule for the names of channels.
package enum ChannelName {
    /// The allowed lengths of a name in bytes.
    package static let byteCounts = 1...255

    /// Checks a name, or a pattern of names.
    ///
    /// - Parameter field: the name of the field in the error.
    /// - Throws: ``ControlError/invalidFilter(field:value:reason:)``.
    package static func check(_ name: String, field: String = "channel") throws(ControlError) {
        guard byteCounts.contains(name.utf8.count), !name.hasControlCharacters else {
            throw .invalidFilter(
                field: field, value: name, reason: "a channel's name has 1 to 255 bytes and no control characters")
        }
    }
}

/// The rule for the names of users, which is that for tokens.
package enum UserName {
    /// Checks a name.
    ///
    /// - Throws: ``ControlError/invalidFilter(field:value:reason:)``.
    package static func check(_ name: String) throws(ControlError) {
        guard (1...128).contains(name.utf8.count), !name.hasControlCharacters, !name.hasPrefix("guest-") else {
            throw .invalidFilter(
                field: "user", value: name,
                reason: "a user's name has 1 to 128 bytes, no control characters, and does not begin with \"guest-\"")
        }
    }
}

extension String {
    /// Whether the text contains a control character of C0 or C1, or DEL.
    fileprivate var hasControlCharacters: Bool {
        unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
    }
}
