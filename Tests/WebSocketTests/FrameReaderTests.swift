import Testing

@testable import WebSocket

/// What a reader said, with payloads copied out.
enum Seen: Equatable {
    case message(Opcode, [UInt8])
    case compressed(Opcode, [UInt8])
    case ping([UInt8])
    case pong([UInt8])
    case close(UInt16?, String)
    case failure(UInt16)
}

/// A frame as a client sends it.
func frame(
    _ opcode: UInt8, _ payload: [UInt8], final: Bool = true, reserved: UInt8 = 0, masked: Bool = true,
    announced: UInt64? = nil
) -> [UInt8] {
    var bytes: [UInt8] = [(final ? 0x80 : 0) | reserved | opcode]
    let count = announced ?? UInt64(payload.count)
    let mask: UInt8 = masked ? 0x80 : 0
    if count < 126 {
        bytes.append(mask | UInt8(count))
    } else if count <= 0xFFFF {
        bytes += [mask | 126, UInt8(count >> 8), UInt8(count & 0xFF)]
    } else {
        bytes.append(mask | 127)
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: count >> UInt64(shift)))
        }
    }
    guard masked else { return bytes + payload }
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
}

extension FrameReader {
    /// Adds what the reader says of a piece of input to `seen`. True if that is a failure or a close.
    mutating func read(_ piece: inout [UInt8], limits: Limits, into seen: inout [Seen]) -> Bool {
        piece.withUnsafeMutableBytes { buffer -> Bool in
            var input = buffer
            while true {
                switch next(&input, limits: limits) {
                case .needsMore: return false
                case .message(let opcode, let payload, false): seen.append(.message(opcode, Array(payload)))
                case .message(let opcode, let payload, true): seen.append(.compressed(opcode, Array(payload)))
                case .ping(let payload): seen.append(.ping(Array(payload)))
                case .pong(let payload): seen.append(.pong(Array(payload)))
                case .close(let code, let reason):
                    seen.append(.close(code?.rawValue, String(decoding: reason, as: UTF8.self)))
                    return true
                case .failure(let code, _):
                    seen.append(.failure(code.rawValue))
                    return true
                }
            }
        }
    }
}

/// Feeds bytes in pieces of `size` and collects what the reader says, up to its first failure or close.
func read(_ bytes: [UInt8], pieces size: Int = .max, limit: Int = 1 << 20, compression: Bool = false) -> [Seen] {
    var reader = FrameReader()
    var seen: [Seen] = []
    let limits = FrameReader.Limits(maximumMessageByteCount: limit, allowsCompression: compression)
    var rest = bytes[...]
    while !rest.isEmpty {
        var piece = Array(rest.prefix(size))
        rest = rest.dropFirst(size)
        if reader.read(&piece, limits: limits, into: &seen) { break }
    }
    return seen
}

@Suite struct FrameReaderTests {
    static let sizes = [1, 2, 3, 7, 64, Int.max]

    // MARK: Section 5.2 and 5.6: framing, lengths, data

    @Test(arguments: [0, 1, 124, 125, 126, 127, 65_535, 65_536, 100_000])
    func everyLengthFormIsRead(_ count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for size in [1, 13, Int.max] {
            #expect(read(frame(2, payload), pieces: size) == [.message(.binary, payload)])
        }
    }

    @Test func aLongerLengthFormThanNeededIsRead() {
        // The RFC binds the sender to the shortest form; what a receiver does with another it leaves open.
        let key: [UInt8] = [0, 0, 0, 0]
        #expect(read([0x82, 0x80 | 126, 0, 1] + key + [7]) == [.message(.binary, [7])])
    }

    @Test func framesFollowEachOtherInOneRead() {
        let bytes = frame(1, Array("a".utf8)) + frame(9, [1]) + frame(2, [2]) + frame(10, [])
        for size in Self.sizes {
            #expect(
                read(bytes, pieces: size) == [
                    .message(.text, Array("a".utf8)), .ping([1]), .message(.binary, [2]), .pong([]),
                ])
        }
    }

    // MARK: Section 5.1: masking

    @Test func anUnmaskedFrameFails() { #expect(read(frame(1, [65], masked: false)) == [.failure(1002)]) }

    // MARK: Section 5.2: reserved bits and opcodes

    @Test(arguments: [UInt8(0x40), 0x20, 0x10, 0x70])
    func aReservedBitFails(_ bits: UInt8) { #expect(read(frame(1, [65], reserved: bits)) == [.failure(1002)]) }

    @Test(arguments: [UInt8(3), 4, 5, 6, 7, 11, 12, 13, 14, 15])
    func aReservedOpcodeFails(_ opcode: UInt8) { #expect(read(frame(opcode, [])) == [.failure(1002)]) }

    @Test func rsv1MarksACompressedMessageWhereThatIsAgreed() {
        let bytes = frame(1, [0xAA], final: false, reserved: 0x40) + frame(0, [0xFF])
        #expect(read(bytes, compression: true) == [.compressed(.text, [0xAA, 0xFF])])
    }

    @Test func rsv1OnAContinuationFails() {
        let bytes = frame(1, [0xAA], final: false, reserved: 0x40) + frame(0, [0xFF], reserved: 0x40)
        #expect(read(bytes, compression: true) == [.failure(1002)])
    }

    @Test func rsv1OnAControlFrameFails() {
        #expect(read(frame(9, [], reserved: 0x40), compression: true) == [.failure(1002)])
    }

    // MARK: Section 5.4: fragmentation

    @Test func fragmentsMakeOneMessage() {
        let bytes = frame(1, Array("hé".utf8), final: false) + frame(0, [], final: false) + frame(0, Array("llo".utf8))
        for size in Self.sizes { #expect(read(bytes, pieces: size) == [.message(.text, Array("héllo".utf8))]) }
    }

    @Test func controlFramesMayStandBetweenFragments() {
        let bytes =
            frame(2, [1, 2], final: false) + frame(9, [9]) + frame(0, [3], final: false) + frame(10, []) + frame(0, [4])
        for size in Self.sizes {
            #expect(read(bytes, pieces: size) == [.ping([9]), .pong([]), .message(.binary, [1, 2, 3, 4])])
        }
    }

    @Test func aContinuationOfNothingFails() { #expect(read(frame(0, [1])) == [.failure(1002)]) }

    @Test func aNewMessageInsideAFragmentedOneFails() {
        #expect(read(frame(1, [65], final: false) + frame(1, [66])) == [.failure(1002)])
    }

    // MARK: Section 5.5: control frames

    @Test func aFragmentedControlFrameFails() { #expect(read(frame(9, [], final: false)) == [.failure(1002)]) }

    @Test func aControlFrameOf126BytesFailsAtItsHeader() {
        #expect(read(Array(frame(9, Array(repeating: 0, count: 126)).prefix(8))) == [.failure(1002)])
    }

    @Test func aPingOf125BytesIsRead() {
        let payload = Array(repeating: UInt8(7), count: 125)
        for size in Self.sizes { #expect(read(frame(9, payload), pieces: size) == [.ping(payload)]) }
    }

    // MARK: Section 5.5.1 and 7.4: close

    @Test func aCloseMayBeEmpty() { #expect(read(frame(8, [])) == [.close(nil, "")]) }

    @Test func aCloseHasACodeAndAReason() {
        for size in Self.sizes {
            #expect(read(frame(8, [0x03, 0xE8] + Array("bye".utf8)), pieces: size) == [.close(1000, "bye")])
        }
    }

    @Test func aCloseOfOneByteFails() { #expect(read(frame(8, [3])) == [.failure(1002)]) }

    @Test(arguments: [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] as [UInt16])
    func aCodeThatMayNotBeSentFails(_ code: UInt16) {
        #expect(read(frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)])) == [.failure(1002)])
    }

    @Test(
        arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
            as [UInt16])
    func aCodeThatMayBeSentIsRead(_ code: UInt16) {
        #expect(read(frame(8, [UInt8(code >> 8), UInt8(code & 0xFF)])) == [.close(code, "")])
    }

    @Test func aReasonThatIsNotUTF8Fails() { #expect(read(frame(8, [0x03, 0xE8, 0xFF])) == [.failure(1007)]) }

    @Test func nothingIsReadAfterAClose() { #expect(read(frame(8, []) + frame(1, [65])) == [.close(nil, "")]) }

    // MARK: Section 8.1: UTF-8

    static let notUTF8: [[UInt8]] = [
        [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
        [0xF0, 0x8F, 0xBF, 0xBF],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0x80], [0xC3, 0x28], [0xE2, 0x82],
        [0xF0, 0x9F, 0x98],
    ]

    @Test(arguments: notUTF8)
    func textThatIsNotUTF8Fails(_ bytes: [UInt8]) {
        for size in Self.sizes {
            #expect(read(frame(1, bytes), pieces: size) == [.failure(1007)])
            #expect(read(frame(1, [0x61] + bytes + [0x61]), pieces: size) == [.failure(1007)])
        }
    }

    @Test func aScalarMayBeCutByFragments() {
        let bytes = Array("a😀é€z".utf8)
        for cut in 0...bytes.count {
            let frames = frame(1, Array(bytes[..<cut]), final: false) + frame(0, Array(bytes[cut...]))
            for size in [1, 5, Int.max] { #expect(read(frames, pieces: size) == [.message(.text, bytes)]) }
        }
    }

    @Test func wrongTextFailsBeforeItsMessageIsComplete() {
        // F4 90 can begin no scalar: known at the second byte, while the frame announces a hundred.
        #expect(read(frame(1, [0xF4, 0x90], announced: 100)) == [.failure(1007)])
        #expect(read(frame(1, [0x61, 0xFF], final: false)) == [.failure(1007)])
    }

    @Test func binaryIsNotChecked() { #expect(read(frame(2, [0xFF, 0xC0])) == [.message(.binary, [0xFF, 0xC0])]) }

    // MARK: Limits

    @Test func aMessageAtTheLimitIsRead() {
        #expect(read(frame(2, [1, 2, 3, 4]), limit: 4) == [.message(.binary, [1, 2, 3, 4])])
        #expect(
            read(frame(2, [1, 2], final: false) + frame(0, [3, 4]), limit: 4) == [.message(.binary, [1, 2, 3, 4])])
    }

    @Test func aMessageOverTheLimitFailsAtItsHeader() {
        #expect(read(frame(2, [], announced: 5), limit: 4) == [.failure(1009)])
        #expect(read(frame(2, [1, 2, 3], final: false) + frame(0, [], announced: 2), limit: 4) == [.failure(1009)])
    }

    @Test func aLengthWithItsHighestBitFails() {
        #expect(read(frame(2, [], announced: 1 << 63)) == [.failure(1002)])
        #expect(read(frame(2, [], announced: (1 << 63) - 1)) == [.failure(1009)])
    }

    // MARK: Memory

    /// `#expect` would copy the reader to show it.
    private func check(_ condition: Bool, _ location: SourceLocation = #_sourceLocation) {
        #expect(condition, sourceLocation: location)
    }

    @Test func aReaderBetweenMessagesIsIdle() {
        var reader = FrameReader()
        check(reader.isIdle)
        let limits = FrameReader.Limits(maximumMessageByteCount: 100)
        var first = Array(frame(1, Array("abc".utf8)))
        let last = first.popLast()!
        first.withUnsafeMutableBytes { bytes in
            var input = bytes
            guard case .needsMore = reader.next(&input, limits: limits) else { return check(false) }
        }
        check(!reader.isIdle)
        var rest = [last]
        rest.withUnsafeMutableBytes { bytes in
            var input = bytes
            guard case .message = reader.next(&input, limits: limits) else { return check(false) }
            guard case .needsMore = reader.next(&input, limits: limits) else { return check(false) }
        }
        check(reader.isIdle)
    }

    /// Whatever the pieces, a reader says the same.
    @Test func piecesMakeNoDifference() {
        var generator = Seeded()
        for _ in 0..<200 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes += frame(9, Array(repeating: 1, count: .random(in: 0...125, using: &generator)))
                case 1:
                    bytes += frame(
                        1, Array(String(repeating: "é€😀a", count: .random(in: 0...60, using: &generator)).utf8))
                case 2: bytes += frame(2, [5], final: false) + frame(10, []) + frame(0, [6])
                case 3: bytes += frame(2, Array(repeating: 3, count: .random(in: 0...700, using: &generator)))
                default: bytes += (0..<3).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
                }
            }
            let whole = read(bytes)
            #expect(read(bytes, pieces: 1) == whole, "seed \(generator.seed)")
            #expect(read(bytes, pieces: .random(in: 2...100, using: &generator)) == whole, "seed \(generator.seed)")
        }
    }
}
