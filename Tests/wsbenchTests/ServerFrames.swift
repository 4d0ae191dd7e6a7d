import WebSocket

@testable import wsbench

/// Frames as a server sends them, right or wrong.
enum ServerFrames {
    static func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        if count < 126 { return [first, UInt8(count)] + payload }
        if count <= 0xFFFF { return [first, 126, UInt8(count >> 8), UInt8(count & 0xFF)] + payload }
        return [first, 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) } + payload
    }

    /// What a reader finds in some input, given piece by piece: one word each.
    static func read(_ bytes: [UInt8], pieceByteCount: Int, allowsCompression: Bool = false) -> [String] {
        var reader = ServerFrameReader()
        var found: [String] = []
        var start = 0
        while start < bytes.count {
            // A copy of its own, so that nothing outlives the read it came with.
            let piece = Array(bytes[start..<min(start + pieceByteCount, bytes.count)])
            start += piece.count
            let isOver = piece.withUnsafeBytes { whole -> Bool in
                var input = whole
                while true {
                    switch reader.next(&input, allowsCompression: allowsCompression) {
                    case .needsMore: return false
                    case .message(let front, let byteCount, let isCompressed):
                        let text = String(decoding: front.prefix(Stamp.byteCount), as: UTF8.self)
                        found.append("\(isCompressed ? "deflated" : "message") \(byteCount) \(text)")
                    case .ping(let payload): found.append("ping " + String(decoding: payload, as: UTF8.self))
                    case .pong(let payload): found.append("pong " + String(decoding: payload, as: UTF8.self))
                    case .close(let code, let reason):
                        found.append("close \(code.map { "\($0)" } ?? "-") " + String(decoding: reason, as: UTF8.self))
                        return true
                    case .failure(let text):
                        found.append("failure \(text)")
                        return true
                    }
                }
            }
            if isOver { break }
        }
        if reader.isIdle { found.append("idle") }
        return found
    }
}
