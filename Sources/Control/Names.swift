package import Base

extension ChannelName {
    /// Checks a name, or a pattern of names.
    ///
    /// - Parameter field: the name of the field in the error.
    /// - Throws: ``ControlError/invalidFilter(field:value:reason:)``.
    package static func check(_ name: String, field: String = "channel") throws(ControlError) {
        guard isValid(name) else {
            throw .invalidFilter(
                field: field, value: name, reason: "a channel's name has 1 to 255 bytes and no control characters")
        }
    }
}

extension UserName {
    /// Checks a name.
    ///
    /// - Throws: ``ControlError/invalidFilter(field:value:reason:)``.
    package static func check(_ name: String) throws(ControlError) {
        guard isValid(name) else {
            throw .invalidFilter(
                field: "user", value: name,
                reason: "a user's name has 1 to 128 bytes, no control characters, and does not begin with \"guest-\"")
        }
    }
}
