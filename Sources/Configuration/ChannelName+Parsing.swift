internal import Base

extension ChannelName {
    /// Parses a name, or an empty text for no channel.
    static func parseOptional(_ text: String) throws(InvalidValue) -> String {
        guard !text.isEmpty else { return text }
        try check(text, ofKind: "name")
        return text
    }

    /// Throws if a text is not a pattern of names; the rule is the same, with `*` for any run of characters.
    static func checkPattern(_ text: String) throws(InvalidValue) {
        guard !text.isEmpty else {
            throw InvalidValue("\"\" matches no channel; give 1 to 255 bytes, such as \"room:*\", or \"*\" for all")
        }
        try check(text, ofKind: "pattern")
    }

    private static func check(_ text: String, ofKind kind: String) throws(InvalidValue) {
        guard !text.hasControlCharacters else {
            throw InvalidValue("\(quoted(text)) holds a control character; leave it out")
        }
        guard isValid(text) else {
            throw InvalidValue("the \(kind) has \(text.utf8.count) bytes; a channel's \(kind) has 255 at most")
        }
    }
}
