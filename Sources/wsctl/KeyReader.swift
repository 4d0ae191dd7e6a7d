/// Finds the keys in the input of a terminal. A key that sends more than one byte, such as an arrow, begins with ESC
/// and is ignored, so that its last letter isn't taken for a key of that name.
struct KeyReader {
    private enum State {
        case plain
        /// After ESC.
        case escape
        /// After `ESC [` or `ESC O`, up to a letter.
        case sequence
    }

    private var state = State.plain

    /// All keys in some bytes, in the order in which they were typed.
    mutating func keys(in bytes: some Sequence<UInt8>) -> [UInt8] {
        var keys: [UInt8] = []
        for byte in bytes {
            switch state {
            case .plain where byte == 0x1b: state = .escape
            case .plain: keys.append(byte)
            case .escape: state = byte == UInt8(ascii: "[") || byte == UInt8(ascii: "O") ? .sequence : .plain
            case .sequence: if (0x40...0x7e).contains(byte) { state = .plain }
            }
        }
        // The bytes of a key come together, so this ESC was the Escape key itself.
        if state == .escape { state = .plain }
        return keys
    }
}
