/// The keys in what a terminal sends. A key that sends more than one byte, such as an arrow, begins with ESC and is none of
/// ours: it is left out, so that its last letter isn't taken for a key of that name.
struct KeyReader {
    private enum State {
        case plain
        /// Behind ESC.
        case escape
        /// Behind `ESC [` or `ESC O`, up to a letter.
        case sequence
    }

    private var state = State.plain

    /// The keys in some bytes, all of them, in the order they were typed.
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
        // What a key sends comes at once: this was the key Escape itself.
        if state == .escape { state = .plain }
        return keys
    }
}
