import WebSocket

/// Writes the frames that a run's publishers send.
///
/// Invariant: `buffer` is owned and has room for at least one frame.
struct MessageWriter: ~Copyable {
    private let plan: Plan
    private let payload: [UInt8]
    private let buffer: UnsafeMutableRawBufferPointer
    private var random = SystemRandomNumberGenerator()
    private var maskingKey: UInt32

    /// The number of frames that fit into one piece.
    let capacity: Int

    /// Text as people write it, so that a server that compresses has something to do.
    private static let filler = Array(
        """
        The quick brown fox jumps over 13 lazy dogs; pack my box with five dozen liquor jugs, {"id": 4711, "ok": true}! \
        How vexingly quick daft zebras jump. Sphinx of black quartz, judge my vow at 23:59.\u{20}
        """.utf8)

    init(plan: Plan) {
        self.plan = plan
        payload = (0..<plan.messageByteCount).map { Self.filler[$0 % Self.filler.count] }
        capacity = max(1, (256 << 10) / plan.frameByteCount)
        buffer = .allocate(byteCount: capacity * plan.frameByteCount, alignment: 64)
        maskingKey = UInt32.random(in: 1...UInt32.max, using: &random)
    }

    deinit { buffer.deallocate() }

    /// Writes `count` frames, at most `capacity`, each with its stamp; valid until the next call.
    mutating func frames(publisher: Int, from sequence: Int, count: Int, sent: UInt64) -> UnsafeRawBufferPointer {
        let base = buffer.baseAddress!
        for index in 0..<count {
            let frame = base + index * plan.frameByteCount
            // Unpredictable keys would cost more than everything else; the server only has to see a different key in
            // each frame.
            maskingKey = maskingKey &* 1_664_525 &+ 1_013_904_223 | 1
            let start = ClientFrame.writeHeader(
                plan.traffic.firstByte, payloadByteCount: payload.count, maskingKey: maskingKey, to: frame)
            let target = frame + start
            payload.withUnsafeBytes { target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            Stamp(publisher: UInt32(publisher), sequence: UInt32(truncatingIfNeeded: sequence + index), sent: sent)
                .write(to: target, run: plan.run)
            _ = Masking.remove(maskingKey, from: UnsafeMutableRawBufferPointer(start: target, count: payload.count))
        }
        return UnsafeRawBufferPointer(start: base, count: count * plan.frameByteCount)
    }
}
