import CZlib
import Testing

@testable import WebSocket

@Suite("The blocks of a compressed message")
struct BlockCountTests {
    private enum Seen: Equatable { case message(Int), corrupt, tooLarge, tooManyBlocks }

    private func inflate(_ payload: [UInt8]) -> Seen {
        var inflater = Inflater()
        return payload.withUnsafeBytes {
            switch inflater.inflate($0, limit: 1 << 20) {
            case .message(let bytes): .message(bytes.count)
            case .corrupt: .corrupt
            case .tooLarge: .tooLarge
            case .tooManyBlocks: .tooManyBlocks
            }
        }
    }

    /// A payload of so many blocks, each of (value, bits) pieces, least significant bit first, and the flush's end.
    private func payload(_ count: Int, of block: [(value: UInt64, bits: UInt64)]) -> [UInt8] {
        var (bytes, rest, bits): ([UInt8], UInt64, UInt64) = ([], 0, 0)
        for piece in Array(repeatElement(block, count: count).joined()) + [(0, 3), (0, 7)] {
            rest |= piece.value << bits
            bits += piece.bits
            while bits >= 8 {
                bytes.append(UInt8(rest & 0xFF))
                rest >>= 8
                bits -= 8
            }
        }
        return bytes
    }

    /// A fixed block of so many bytes 0x10, whose code is 01000000, from the highest bit on.
    private func fixed(_ count: Int) -> [(value: UInt64, bits: UInt64)] {
        [(0, 1), (1, 2)] + Array(repeating: (0b0000_0010, 8), count: count) + [(0, 7)]
    }

    /// A dynamic block (RFC 1951, section 3.2.7) of so many zero bytes: it and the end of the block have a bit each.
    private func dynamic(_ count: Int) -> [(value: UInt64, bits: UInt64)] {
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]
        return [(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)] + order.map { ($0 == 18 || $0 == 1 ? 1 : 0, 3) }
            + [(0, 1), (1, 1), (138 - 11, 7), (1, 1), (117 - 11, 7), (0, 1), (0, 1)]
            + Array(repeating: (0, 1), count: count) + [(1, 1)]
    }

    @Test("128 blocks may say nothing, 8 of them with codes of their own; more are too many")
    func empty() {
        let stored: [(value: UInt64, bits: UInt64)] = [(0, 8), (0, 16), (0xFFFF, 16)]
        for (block, allowed) in [(fixed(0), 128), (stored, 128), (dynamic(0), 8)] {
            #expect(inflate(payload(allowed - 1, of: block)) == .message(0))
            #expect(inflate(payload(allowed + 4, of: block)) == .tooManyBlocks)
            #expect(inflate(payload(100_000, of: block)) == .tooManyBlocks)
        }
        #expect(inflate(Array(repeatElement([0x03, 0x00], count: 100).joined())) == .message(0))
        #expect(inflate(Array(repeatElement([0x03, 0x00], count: 200).joined())) == .tooManyBlocks)
    }

    @Test("Two blocks more for each byte, and one with codes of its own for 100")
    func full() {
        #expect(inflate(payload(5_000, of: fixed(1) + fixed(0))) == .message(5_000))
        #expect(inflate(payload(5_000, of: fixed(1) + fixed(0) + fixed(0))) == .tooManyBlocks)
        #expect(inflate(payload(1_000, of: dynamic(100))) == .message(100_000))
        #expect(inflate(payload(1_000, of: dynamic(90))) == .tooManyBlocks)
    }

    @Test("Whatever zlib makes of a message is let through, with the least memory, too", arguments: 1...9)
    func everyCompressor(memoryLevel: CInt) throws {
        var generator = Seeded()
        // Letters that hardly ever repeat: codes of their own pay, and nothing is said twice.
        let message = (0..<50_000).map { _ in UInt8.random(in: 0x41...0x60, using: &generator) }
        for level: CInt in [1, 6, 9] {
            for flushedAfter in [1, 16, 300, message.count] {
                let payload = try #require(deflate(message, level, memoryLevel, flushedAfter: flushedAfter))
                #expect(inflate(payload) == .message(message.count), "level \(level), flushed after \(flushedAfter)")
            }
        }
    }

    private func deflate(
        _ message: [UInt8], _ level: CInt, _ memoryLevel: CInt, flushedAfter count: Int
    ) -> [UInt8]? {
        var stream = z_stream()
        let size = CInt(MemoryLayout<z_stream>.size)
        guard
            deflateInit2_(&stream, level, Z_DEFLATED, -15, memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK
        else { return nil }
        defer { deflateEnd(&stream) }
        var (message, output) = (message, [UInt8](repeating: 0, count: message.count * 8))
        let whole = message.count
        let end: Int? = message.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_out = output.baseAddress
                stream.avail_out = uInt(output.count)
                for start in stride(from: 0, to: whole, by: count) {
                    stream.next_in = input.baseAddress! + start
                    stream.avail_in = uInt(min(count, whole - start))
                    guard CZlib.deflate(&stream, Z_SYNC_FLUSH) == Z_OK else { return nil }
                }
                return output.count - Int(stream.avail_out)
            }
        }
        return end.map { Array(output[..<($0 - 4)]) }
    }
}
