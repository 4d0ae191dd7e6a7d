import WebSocket

extension Worker {
    /// Adds to a delivery its messages in each of the encodings, deflated once for each window that makes a difference.
    func compress(_ delivery: inout Delivery, for encodings: Encoding.Set) {
        /// What was deflated, from what and for which window.
        var made: [(plain: Segment, window: Int, deflated: Segment?)] = []
        for encoding in encodings.deflating {
            guard let plain = delivery.plain(encoding) else { continue }
            let largest = plain.largestFrame
            guard largest >= configuration.compressionThreshold else { continue }
            let window = window(for: encoding, of: encodings, messageOf: largest)
            if let known = made.first(where: { $0.plain === plain && $0.window == window }) {
                if let deflated = known.deflated { delivery[encoding] = deflated }
                continue
            }
            let deflated = deflate(plain, agreed: window)
            made.append((plain, window, deflated))
            if let deflated { delivery[encoding] = deflated }
        }
    }

    /// The window that messages are deflated for. Those that fit into a window whole are the same for all windows they fit
    /// into. Large ones are deflated twice at most, however many windows are in use: any window takes what a smaller one does.
    private func window(for encoding: Encoding, of encodings: Encoding.Set, messageOf byteCount: Int) -> Int {
        let agreed = encoding.windowBits ?? 15
        if Deflater.windowBits(forMessageOf: byteCount, agreed: agreed) == 15 { return 15 }
        guard byteCount > Worker.largeByteCount else { return agreed }
        let isWide = agreed >= Worker.wideWindow
        let windows = encodings.deflating.compactMap(\.windowBits)
        return windows.filter { ($0 >= Worker.wideWindow) == isWide }.min() ?? agreed
    }

    /// Larger messages than this are deflated for few windows.
    private static let largeByteCount = 64 * 1024
    /// The two kinds of window for those: from this one on, and below.
    private static let wideWindow = 12

    /// How often a message of that size is deflated, where so many windows are in use.
    static func deflateCount(messageOf byteCount: Int, windows: Int) -> Int {
        byteCount > largeByteCount ? min(2, windows) : windows
    }

    /// The same messages, deflated where that makes them smaller; nil where it made none so.
    private func deflate(_ plain: Segment, agreed: Int) -> Segment? {
        var builder = SegmentBuilder(context.account.frames)
        var hasGained = false
        plain.forEachFrame { opcode, payload in
            guard !opcode.isControl, payload.count >= configuration.compressionThreshold,
                let deflated = deflater.deflate(
                    payload, windowBits: Deflater.windowBits(forMessageOf: payload.count, agreed: agreed))
            else {
                builder.append(opcode, payload: payload)
                return
            }
            hasGained = true
            statistics.deflatedFrom &+= UInt64(payload.count)
            statistics.deflatedTo &+= UInt64(deflated.count)
            builder.append(opcode, payload: deflated, isCompressed: true)
        }
        return hasGained ? builder.finish() : nil
    }

    /// Inflates a message and checks what it says; nil where that has failed the connection.
    func inflate(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        switch inflater.inflate(payload, limit: configuration.maximumMessageByteCount) {
        case .corrupt:
            failed(slot, record, .invalidData, "compressed message is corrupt")
        case .tooLarge:
            failed(slot, record, .messageTooBig, "message larger than the limit")
        case .tooManyBlocks:
            failed(slot, record, .policyViolation, "compressed message has too many blocks for its size")
        case .message(let message):
            let message = UnsafeRawBufferPointer(message)
            statistics.inflatedFrom &+= UInt64(payload.count)
            statistics.inflatedTo &+= UInt64(message.count)
            guard opcode == .text else { return message }
            var text = UTF8Validator()
            if text.accept(message), text.isComplete { return message }
            failed(slot, record, .invalidData, "text is not valid UTF-8")
        }
        return nil
    }
}
