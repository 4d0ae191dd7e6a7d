/// The rule for the names of channels: 1 to 255 bytes of UTF-8 without control characters.
package enum ChannelName {
    /// Whether a text may name a channel.
    package static func isValid(_ text: some StringProtocol) -> Bool {
        (1...255).contains(text.utf8.count) && !text.unicodeScalars.contains(where: isControl)
    }

    static func parse(_ text: String) throws(InvalidValue) -> String {
        guard !text.isEmpty else {
            throw InvalidValue("\"\" names no channel; give 1 to 255 bytes, such as \"lobby\"")
        }
        guard !text.unicodeScalars.contains(where: isControl) else {
            throw InvalidValue("\(quoted(text)) holds a control character; leave it out")
        }
        guard isValid(text) else {
            throw InvalidValue("the name has \(text.utf8.count) bytes; a channel's name has 255 at most")
        }
        return text
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control
    }
}
