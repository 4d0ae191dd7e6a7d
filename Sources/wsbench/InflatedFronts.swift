import Glibc
import WebSocket

/// The stamps of compressed messages. A hub compresses a message once for all its recipients, so the same bytes arrive
/// again and again: each message is inflated once and then recognised.
struct InflatedFronts: ~Copyable {
    private struct Known {
        var payload: [UInt8]
        var stamp: Stamp?
        var byteCount: Int
    }

    private var inflater = Inflater()
    private var known = [Known?](repeating: nil, count: 64)
    private let run: UInt32
    private let limit: Int

    /// - Parameters:
    ///   - run: the run's number.
    ///   - limit: the maximum size of a message.
    init(run: UInt32, limit: Int) {
        self.run = run
        self.limit = limit
    }

    /// The stamp and the size of a message; nil if it can't be inflated.
    mutating func front(of payload: UnsafeRawBufferPointer) -> (stamp: Stamp?, byteCount: Int)? {
        // The stamp is at the front, and so is what differs from message to message.
        var hash = UInt(truncatingIfNeeded: payload.count)
        for byte in payload.prefix(64) { hash = (hash ^ UInt(byte)) &* 0x100_0000_01B3 }
        let slot = Int(hash % UInt(known.count))
        if let found = known[slot], found.payload.count == payload.count, !payload.isEmpty,
            memcmp(found.payload, payload.baseAddress!, payload.count) == 0
        {
            return (found.stamp, found.byteCount)
        }
        guard case .message(let bytes) = inflater.inflate(payload, limit: limit) else { return nil }
        let stamp = Stamp(UnsafeRawBufferPointer(bytes), run: run)
        known[slot] = Known(payload: Array(payload), stamp: stamp, byteCount: bytes.count)
        return (stamp, bytes.count)
    }
}
