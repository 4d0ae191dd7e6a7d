import Settings
import WebSocket

extension Worker {
    /// Adds the deflated messages in each of the encodings to a delivery, deflated once for each window that makes a
    /// difference.
    func compress(_ delivery: inout Delivery, for encodings: Encoding.Set) {
        /// The results so far: the plain segment, the window, and the deflated segment.
        var made: [(plain: Segment, window: Int, deflated: Segment?)] = []
        for encoding in encodings.deflating {
            guard let plain = delivery.plain(encoding) else { continue }
            let largest = plain.largestFrame
            guard largest >= configuration.websocket.compressionThresholdByteCount else { continue }
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

    /// The window that messages are deflated for. A message that fits into a window is the same for all windows that it
    /// fits into. Large messages are deflated twice at most, however many windows are in use, because any window can
    /// inflate messages that were deflated for a smaller one.
    private func window(for encoding: Encoding, of encodings: Encoding.Set, messageOf byteCount: Int) -> Int {
        let agreed = encoding.windowBits ?? 15
        if Deflater.windowBits(forMessageOf: byteCount, agreed: agreed) == 15 { return 15 }
        guard byteCount > Worker.largeByteCount else { return agreed }
        let isWide = agreed >= Worker.wideWindow
        let windows = encodings.deflating.compactMap(\.windowBits)
        return windows.filter { ($0 >= Worker.wideWindow) == isWide }.min() ?? agreed
    }

    /// The size in bytes beyond which messages are deflated for few windows.
    private static let largeByteCount = 64 * 1024
    /// The limit between the two kinds of window for those: this one and larger, and smaller.
    private static let wideWindow = 12

    /// The number of times that a message of this size is deflated when this many windows are in use.
    static func deflateCount(messageOf byteCount: Int, windows: Int) -> Int {
        byteCount > largeByteCount ? min(2, windows) : windows
    }

    /// The same messages, deflated if that makes them smaller; nil if it makes none smaller.
    private func deflate(_ plain: Segment, agreed: Int) -> Segment? {
        var builder = SegmentBuilder(context.account.frames)
        var hasGained = false
        plain.forEachFrame { opcode, payload in
            guard !opcode.isControl, payload.count >= configuration.websocket.compressionThresholdByteCount,
                let deflated = outbox.deflater.deflate(
                    payload, windowBits: Deflater.windowBits(forMessageOf: payload.count, agreed: agreed))
            else {
                builder.append(opcode, payload: payload)
                return
            }
            hasGained = true
            telemetry.statistics.deflatedFrom &+= UInt64(payload.count)
            telemetry.statistics.deflatedTo &+= UInt64(deflated.count)
            builder.append(opcode, payload: deflated, isCompressed: true)
        }
        return hasGained ? builder.finish() : nil
    }

    /// Inflates a message and checks its text; nil if that has failed the connection.
    func inflate(
        _ connection: Connection, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        switch ingress.inflater.inflate(payload, limit: configuration.websocket.maxMessageByteCount) {
        case .corrupt:
            failed(connection, .invalidData, "compressed message is corrupt")
        case .tooLarge:
            failed(connection, .messageTooBig, "message larger than the limit")
        case .tooManyBlocks:
            failed(connection, .policyViolation, "compressed message has too many blocks for its size")
        case .message(let message):
            let message = UnsafeRawBufferPointer(message)
            telemetry.statistics.inflatedFrom &+= UInt64(payload.count)
            telemetry.statistics.inflatedTo &+= UInt64(message.count)
            guard opcode == .text else { return message }
            var text = UTF8Validator()
            if text.accept(message), text.isComplete { return message }
            failed(connection, .invalidData, "text is not valid UTF-8")
        }
        return nil
    }
}
