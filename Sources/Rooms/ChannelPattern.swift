/// A pattern of channel names: `*` stands for any run of characters, including none, and any other character for
/// itself.
package struct ChannelPattern: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    /// Whether a name matches this pattern. The search only ever goes back to the last `*`, and is linear otherwise.
    package func matches(_ name: String) -> Bool {
        let star = UInt8(ascii: "*")
        let pattern = Array(text.utf8)
        let name = Array(name.utf8)
        var position = 0
        var index = 0
        var retry: (position: Int, index: Int)?
        while index < name.count {
            if position < pattern.count, pattern[position] == star {
                retry = (position, index)
                position += 1
            } else if position < pattern.count, pattern[position] == name[index] {
                position += 1
                index += 1
            } else if let last = retry {
                position = last.position + 1
                index = last.index + 1
                retry = (last.position, index)
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == star }
    }
}
