import WebSocket

/// A message or control frame that is incomplete because a read, or a frame, ended in the middle.
struct CutMessage: ~Copyable {
    /// The bytes of an incomplete header.
    private var header = KeptBytes()
    /// The frame whose payload is arriving, and the number of bytes missing; nil between frames.
    private var frame: (header: ServerFrameHeader, missing: Int)?
    /// The message whose frames are arriving, and its size so far; nil between messages.
    private var message: (byteCount: Int, isCompressed: Bool)?
    private var messageFront = KeptBytes()
    private var control = KeptBytes()

    /// Whether no part of a next frame or message is held.
    var isIdle: Bool { frame == nil && message == nil && header.count == 0 }

    /// Continues with the input, like `ServerFrameReader.next`.
    mutating func next(_ input: inout UnsafeRawBufferPointer, allowsCompression: Bool) -> ServerFrameReader.Event {
        // The last event's payload is no longer needed, unless it is still arriving.
        if !(frame?.header.opcode.isControl ?? false) { control.removeAll() }
        while true {
            if frame == nil {
                // Between messages the reader's fast path takes over again.
                if isIdle && input.isEmpty { return .needsMore }
                switch takeHeader(&input, allowsCompression: allowsCompression) {
                case .incomplete: return .needsMore
                case .wrong(let text): return .failure(text)
                case .complete(let header):
                    if let failure = begin(header) { return .failure(failure) }
                }
            }
            if let event = takePayload(&input) { return event }
            if frame != nil { return .needsMore }
        }
    }

    private mutating func takeHeader(
        _ input: inout UnsafeRawBufferPointer, allowsCompression: Bool
    ) -> ServerFrameHeader.Result {
        while true {
            let result = ServerFrameHeader.parse(header.bytes, allowsCompression: allowsCompression)
            guard case .incomplete = result else {
                header.removeAll()
                return result
            }
            guard !input.isEmpty else { return .incomplete }
            header.append(UnsafeRawBufferPointer(rebasing: input[..<1]))
            input = UnsafeRawBufferPointer(rebasing: input[1...])
        }
    }

    private mutating func begin(_ header: ServerFrameHeader) -> String? {
        if header.opcode == .continuation {
            guard message != nil else { return "a continuation of no message" }
        } else if !header.opcode.isControl {
            guard message == nil else { return "a new message inside a fragmented one" }
            message = (0, header.isCompressed)
            messageFront.removeAll()
        }
        frame = (header, header.payloadByteCount)
        return nil
    }

    /// Takes the available part of the current frame's payload; returns an event if that completes something.
    private mutating func takePayload(_ input: inout UnsafeRawBufferPointer) -> ServerFrameReader.Event? {
        guard let (header, missing) = frame else { return nil }
        let count = min(missing, input.count)
        let piece = UnsafeRawBufferPointer(rebasing: input[..<count])
        input = UnsafeRawBufferPointer(rebasing: input[count...])
        let isComplete = missing == count
        frame = isComplete ? nil : (header, missing - count)

        if header.opcode.isControl {
            control.append(piece)
            return isComplete ? ServerFrameReader.control(header.opcode, control.bytes) : nil
        }
        let (byteCount, isCompressed) = message!
        message!.byteCount = byteCount + count
        let wanted = isCompressed ? Int.max : Stamp.byteCount
        messageFront.append(UnsafeRawBufferPointer(rebasing: piece.prefix(wanted - messageFront.count)))
        guard isComplete && header.isFinal else { return nil }
        message = nil
        return .message(messageFront.bytes, byteCount: byteCount + count, isCompressed: isCompressed)
    }
}
