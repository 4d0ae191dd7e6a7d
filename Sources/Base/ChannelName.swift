/// The rule for the names of channels, and for patterns of them: 1 to 255 bytes of UTF-8 without control characters.
package enum ChannelName {
    /// The allowed lengths in bytes.
    package static let byteCounts = 1...255

    /// Whether a text is a valid name of a channel.
    package static func isValid(_ text: some StringProtocol) -> Bool {
        byteCounts.contains(text.utf8.count) && !text.hasControlCharacters
    }
}

/// The rule for the names of users: 1 to 128 bytes of UTF-8 without control characters, and not a guest's.
package enum UserName {
    /// The allowed lengths in bytes.
    package static let byteCounts = 1...128
    /// The beginning of the names of clients without a token.
    package static let guestPrefix = "guest-"

    /// Whether a name is that of a client without a token.
    package static func isGuest(_ text: some StringProtocol) -> Bool { text.utf8.starts(with: guestPrefix.utf8) }

    /// Whether a text is a valid name of a user.
    package static func isValid(_ text: some StringProtocol) -> Bool {
        byteCounts.contains(text.utf8.count) && !text.hasControlCharacters && !isGuest(text)
    }
}

extension StringProtocol {
    /// Whether the text has a control character in it (general category Cc: U+0000 to U+001F, U+007F to U+009F).
    package var hasControlCharacters: Bool {
        unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
    }
}
