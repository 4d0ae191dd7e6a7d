import Testing

@testable import WebSocket

@Suite struct FrameHeaderTests {
    @Test(arguments: [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 33, 10)])
    func aServerWritesTheShortestForm(_ count: Int, _ headerCount: Int) {
        var bytes = [UInt8](repeating: 0xEE, count: FrameHeader.maximumServerByteCount)
        let written = bytes.withUnsafeMutableBytes {
            FrameHeader.write(.binary, payloadByteCount: count, to: $0.baseAddress!)
        }
        #expect(written == headerCount)
        let parsed = bytes.withUnsafeBytes { FrameHeader(parsing: UnsafeRawBufferPointer(rebasing: $0[..<written])) }
        #expect(parsed?.payloadByteCount == UInt64(count))
        #expect(parsed?.isMasked == false)
        #expect(parsed?.isFinal == true)
        #expect(parsed?.opcodeBits == 2)
        #expect(parsed?.byteCount == written)
    }

    @Test func aCutHeaderIsNotParsed() {
        let whole = Array(frame(2, Array(repeating: 0, count: 70_000)).prefix(14))
        for count in 0..<14 {
            #expect(whole[..<count].withUnsafeBytes { FrameHeader(parsing: $0) } == nil)
        }
        #expect(whole.withUnsafeBytes { FrameHeader(parsing: $0) }?.byteCount == 14)
    }

    @Test func unmaskingAnyLengthAtAnyOffsetGivesTheText() {
        let key: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        let number = UInt32(0x7856_3412)
        for count in 0..<140 {
            let plain = (0..<count).map { UInt8($0) }
            for cut in [0, count / 3, count / 2, count] {
                var masked = plain.enumerated().map { $1 ^ key[$0 % 4] }
                masked.withUnsafeMutableBytes { bytes in
                    let rest = Masking.remove(number, from: UnsafeMutableRawBufferPointer(rebasing: bytes[..<cut]))
                    _ = Masking.remove(rest, from: UnsafeMutableRawBufferPointer(rebasing: bytes[cut...]))
                }
                #expect(masked == plain)
            }
        }
    }
}
