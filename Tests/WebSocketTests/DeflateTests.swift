import CZlib
import Testing

@testable import WebSocket

@Suite("Deflating and inflating a message")
struct DeflateTests {
    private enum Seen: Equatable { case message([UInt8]), corrupt, tooLarge, tooManyBlocks }

    private func inflate(_ payload: [UInt8], limit: Int = 1 << 20, with inflater: inout Inflater) -> Seen {
        payload.withUnsafeBytes {
            switch inflater.inflate($0, limit: limit) {
            case .message(let bytes): .message(Array(bytes))
            case .corrupt: .corrupt
            case .tooLarge: .tooLarge
            case .tooManyBlocks: .tooManyBlocks
            }
        }
    }

    private func inflate(_ payload: [UInt8], limit: Int = 1 << 20) -> Seen {
        var inflater = Inflater()
        return inflate(payload, limit: limit, with: &inflater)
    }

    private func deflate(_ message: [UInt8], windowBits: Int = 15, level: Int = 6) -> [UInt8]? {
        var deflater = Deflater(level: level)
        return message.withUnsafeBytes { deflater.deflate($0, windowBits: windowBits).map(Array.init) }
    }

    /// Inflates with zlib and a window of so many bits, one byte at a time, so that nothing but the window is there.
    private func inflate(_ payload: [UInt8], inWindowOf windowBits: Int32) -> [UInt8]? {
        var stream = z_stream()
        guard inflateInit2_(&stream, -windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            return nil
        }
        defer { inflateEnd(&stream) }
        var message: [UInt8] = []
        var input = payload + [0, 0, 0xFF, 0xFF]
        let inputCount = input.count
        return input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = uInt(inputCount)
            while true {
                var byte: UInt8 = 0
                let result = withUnsafeMutablePointer(to: &byte) { target in
                    stream.next_out = target
                    stream.avail_out = 1
                    return CZlib.inflate(&stream, Z_SYNC_FLUSH)
                }
                if stream.avail_out == 0 { message.append(byte) }
                if result != Z_OK { return result == Z_BUF_ERROR ? message : nil }
                if stream.avail_out > 0 { return message }
            }
        }
    }

    private func text(_ count: Int) -> [UInt8] {
        var generator = Seeded()
        let words = ["price ", "volume ", "bid ", "ask ", "{\"type\":", "\"chat\"}"]
        var bytes: [UInt8] = []
        while bytes.count < count { bytes += words[Int.random(in: 0..<words.count, using: &generator)].utf8 }
        return Array(bytes.prefix(count))
    }

    // RFC 7692, section 7.2.3
    @Test(
        "The RFC's examples of \"Hello\" are understood",
        arguments: [
            [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
            [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
            [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
            [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
        ] as [[UInt8]])
    func examples(payload: [UInt8]) {
        #expect(inflate(payload) == .message(Array("Hello".utf8)))
    }

    @Test("An empty message is understood, in the RFC's form and as nothing at all")
    func empty() {
        #expect(inflate([0x00]) == .message([]))
        #expect(inflate([]) == .message([]))
    }

    @Test(
        "What is no DEFLATE stream, or stops within a block, is corrupt",
        arguments: [
            [0xFF], [0x07, 0x00], [0xF2, 0x48],
            [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48], [0x01, 0x05, 0x00, 0xFA, 0xFF, 0x48],
            // A reference to before the beginning.
            [0x4B, 0x84, 0x83, 0x00],
        ] as [[UInt8]])
    func corrupt(payload: [UInt8]) {
        #expect(inflate(payload) == .corrupt)
    }

    @Test("A corrupt message leaves nothing behind for the next")
    func reuse() {
        var inflater = Inflater()
        for _ in 0..<3 {
            #expect(inflate([0xFF, 0x12], with: &inflater) == .corrupt)
            #expect(
                inflate([0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], with: &inflater) == .message(Array("Hello".utf8)))
        }
    }

    @Test("A message of the limit's size is let through, one byte more is too large")
    func limit() throws {
        for size in [1_000, 65_536, 200_000] {
            let payload = try #require(deflate([UInt8](repeating: 7, count: size)))
            #expect(inflate(payload, limit: size) == .message([UInt8](repeating: 7, count: size)))
            #expect(inflate(payload, limit: size - 1) == .tooLarge)
        }
    }

    @Test("A message deflated for a window of 8 to 15 bits is inflated within one", arguments: 8...15)
    func window(agreed: Int) throws {
        for size in [2, 200, 256, 257, 600, 5_000, 40_000, 100_000] {
            let message = text(size)
            let windowBits = Deflater.windowBits(forMessageOf: size, agreed: agreed)
            guard let payload = deflate(message, windowBits: windowBits, level: 9) else { continue }
            #expect(payload.count < size)
            #expect(inflate(payload, inWindowOf: Int32(agreed)) == message, "\(size) bytes")
            #expect(inflate(payload) == .message(message))
        }
        #expect(deflate(text(600), windowBits: max(9, agreed)) != nil)
    }

    @Test("A message that would not become smaller is not deflated")
    func noGain() {
        var generator = Seeded()
        let noise = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        #expect(deflate(noise) == nil)
        #expect(deflate([]) == nil)
        #expect(deflate([65]) == nil)
        #expect(deflate(Array("ab".utf8)) == nil)
    }
}
