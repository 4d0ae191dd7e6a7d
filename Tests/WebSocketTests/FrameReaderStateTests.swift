import Base
import Testing

@testable import WebSocket

/// Writes a reader down and reads it back.
private func restored(_ reader: borrowing FrameReader) throws(StateError) -> FrameReader {
    var writer = StateWriter()
    reader.write(to: &writer)
    return try writer.bytes.reading { (state) throws(StateError) in
        let reader = try FrameReader(from: &state)
        try state.require(state.isAtEnd, "nothing is left")
        return reader
    }
}

/// Feeds bytes in pieces of random sizes, each to the reader that the previous one was written down as.
private func readRestored(
    _ bytes: [UInt8], compression: Bool, using random: inout some RandomNumberGenerator,
    each: ([UInt8]) -> Void = { _ in }
) throws -> [Seen] {
    let limits = FrameReader.Limits(maximumMessageByteCount: 1 << 20, allowsCompression: compression)
    var seen: [Seen] = []
    var rest = bytes[...]
    var reader = FrameReader()
    while !rest.isEmpty {
        let size =
            Bool.random(using: &random)
            ? Int.random(in: 1...3, using: &random) : Int.random(in: 1...400, using: &random)
        var piece = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        if reader.read(&piece, limits: limits, into: &seen) { break }
        reader.releaseDelivered()
        var writer = StateWriter()
        reader.write(to: &writer)
        each(writer.bytes)
        let wasIdle = reader.isIdle
        reader = try restored(reader)
        #expect(reader.isIdle == wasIdle)
    }
    return seen
}

/// A random stream of whole and fragmented messages with control frames among them.
private func randomStream(compression: Bool, using random: inout some RandomNumberGenerator) -> [UInt8] {
    func payload(_ most: Int, text: Bool) -> [UInt8] {
        let count = Int.random(in: 0...most, using: &random)
        guard text else { return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
        return (0..<count).flatMap { _ in Array(["a", "é", "€", "😀"].randomElement(using: &random)?.utf8 ?? "a".utf8) }
    }
    var stream: [UInt8] = []
    for _ in 0..<12 {
        let isText = Bool.random(using: &random)
        let isCompressed = compression && Bool.random(using: &random)
        var rest = payload(300, text: isText && !isCompressed)[...]
        let fragments = Int.random(in: 1...4, using: &random)
        for index in 0..<fragments {
            let isFinal = index == fragments - 1
            let count = isFinal ? rest.count : Int.random(in: 0...rest.count, using: &random)
            stream += frame(
                index == 0 ? (isText ? 1 : 2) : 0, Array(rest.prefix(count)), final: isFinal,
                reserved: isCompressed && index == 0 ? 0x40 : 0)
            rest = rest.dropFirst(count)
            if Bool.random(using: &random) {
                stream += frame(Bool.random(using: &random) ? 9 : 10, payload(125, text: false))
            }
        }
    }
    if Bool.random(using: &random) { stream += frame(8, [3, 232] + Array("the end é".utf8)) }
    return stream
}

@Suite("A reader that is written down")
struct FrameReaderStateTests {
    @Test(arguments: UInt64(1)...60)
    func `reads on where it was, at whatever byte that is`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        let compression = seed % 2 == 0
        let stream = randomStream(compression: compression, using: &random)
        let seen = try readRestored(stream, compression: compression, using: &random)
        #expect(seen == read(stream, compression: compression), "seed \(seed)")
    }

    @Test func `still notices a character that is cut off, and one that goes on wrongly`() throws {
        var random = Seeded(seed: 1)
        let cut = frame(1, [0x61, 0xE2, 0x82], final: false) + frame(0, [0x61])
        #expect(try readRestored(cut, compression: false, using: &random) == [.failure(1007)])
        let whole = frame(1, [0x61, 0xE2, 0x82], final: false) + frame(0, [0xAC])
        #expect(
            try readRestored(whole, compression: false, using: &random) == [.message(.text, [0x61, 0xE2, 0x82, 0xAC])])
    }

    @Test func `inflates a message whose front came before`() throws {
        let text = [UInt8]((0..<20_000).flatMap { Array("\($0 % 97) ".utf8) })
        var deflater = Deflater(level: 6)
        let deflated = text.withUnsafeBytes { source in deflater.deflate(source, windowBits: 15).map { Array($0) } ?? []
        }
        let middle = deflated.count / 2
        let stream =
            frame(1, Array(deflated[..<middle]), final: false, reserved: 0x40) + frame(0, Array(deflated[middle...]))
        var random = Seeded(seed: 2)
        let seen = try readRestored(stream, compression: true, using: &random)
        guard case .compressed(.text, let payload) = seen.first else {
            Issue.record("no message")
            return
        }
        var inflater = Inflater()
        let inflated = payload.withUnsafeBytes { payload -> [UInt8]? in
            guard case .message(let bytes) = inflater.inflate(payload, limit: 1 << 20) else { return nil }
            return Array(bytes)
        }
        #expect(inflated == text)
    }

    @Test(arguments: UInt64(1)...4)
    func `never traps on a damaged state, nor on what it is fed then`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        let stream = randomStream(compression: true, using: &random)
        var states: [[UInt8]] = []
        _ = try readRestored(stream, compression: true, using: &random) { states.append($0) }
        let limits = FrameReader.Limits(maximumMessageByteCount: 1 << 16, allowsCompression: true)
        var accepted = 0
        for state in states.shuffled(using: &random).prefix(20) {
            state.damaged(300, seed: seed) { bytes in
                try? bytes.reading { (state) throws(StateError) in
                    var reader = try FrameReader(from: &state)
                    accepted += 1
                    var more = stream
                    more.withUnsafeMutableBytes { buffer in
                        var input = buffer
                        while true {
                            switch reader.next(&input, limits: limits) {
                            case .needsMore, .failure, .close: return
                            default: break
                            }
                        }
                    }
                }
            }
        }
        #expect(accepted > 0)
    }
}
