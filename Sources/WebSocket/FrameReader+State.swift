package import Base

/// The reader's position in its stream, written down between two reads.
///
/// A compressed message is inflated as a whole, when its last byte has come, and needs no window of an earlier one
/// (`client_no_context_takeover`): until then its compressed bytes are the whole state, and no inflater has any.
/// Neither has the check of a text's UTF-8, which is done again for the bytes so far.
extension FrameReader {
    /// The largest payload that a state may announce: no limit of messages is larger.
    private static let largestPayload = 1 << 40

    /// Writes the position. A message that was handed out is not part of it.
    package func write(to state: inout StateWriter) {
        let count = headerCount
        withUnsafeBytes(of: header) { state.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        state.write(frame != nil)
        if let frame {
            state.write(byte: frame.opcode.rawValue)
            state.write(frame.isFinal)
            state.write(fixed: frame.maskingKey)
            state.write(count: frame.remaining)
            if frame.opcode.isControl { state.write(UnsafeRawBufferPointer(controlBytes.bytes)) }
        }
        state.write(message != nil)
        if let message {
            state.write(byte: message.opcode.rawValue)
            state.write(message.isCompressed)
            state.write(UnsafeRawBufferPointer(messageBytes.bytes))
        }
    }

    /// Reads a position that `write` has written. Limits are those of the connection from now on: a message in progress
    /// that is too large for them fails with its next frame.
    package init(from state: inout StateReader) throws(StateError) {
        self.init()
        let begun = try state.bytes(atMost: FrameHeader.maximumByteCount - 1)
        try state.require(FrameHeader(parsing: begun) == nil, "a frame's header that is not cut off")
        for (index, byte) in begun.enumerated() { header[index] = byte }
        headerCount = begun.count
        if try state.flag() { try readFrame(from: &state) }
        if try state.flag() { try readMessage(from: &state) }
        if let frame, !frame.opcode.isControl {
            try state.require(message != nil, "a frame of no message")
            try state.require(frame.opcode == .continuation || frame.opcode == message?.opcode, "a frame's opcode")
        }
        try state.require(frame == nil || headerCount == 0, "a header within a frame")
    }

    private mutating func readFrame(from state: inout StateReader) throws(StateError) {
        let opcode = try Self.opcode(from: &state)
        let isFinal = try state.flag()
        let maskingKey = try state.fixed()
        let remaining = try state.count(atMost: opcode.isControl ? 125 : Self.largestPayload)
        try state.require(remaining > 0, "a frame that is whole")
        frame = Frame(opcode: opcode, isFinal: isFinal, maskingKey: maskingKey, remaining: remaining)
        guard opcode.isControl else { return }
        try state.require(isFinal, "a fragmented control frame")
        controlBytes.append(try state.bytes(atMost: 125 - remaining), expected: 125)
    }

    private mutating func readMessage(from state: inout StateReader) throws(StateError) {
        let opcode = try Self.opcode(from: &state)
        try state.require(opcode == .text || opcode == .binary, "a message's opcode")
        var begun = Message(opcode: opcode, isCompressed: try state.flag())
        let bytes = try state.bytes(atMost: Self.largestPayload)
        if opcode == .text, !begun.isCompressed {
            try state.require(begun.text.accept(bytes), "a text that is not UTF-8")
        }
        message = begun
        messageBytes.append(bytes, expected: bytes.count)
    }

    private static func opcode(from state: inout StateReader) throws(StateError) -> Opcode {
        let byte = try state.byte()
        guard let opcode = Opcode(rawValue: byte) else { throw state.error("an opcode of \(byte)") }
        return opcode
    }
}
