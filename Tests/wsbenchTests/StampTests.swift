import Testing
import WebSocket

@testable import wsbench

@Suite("A stamp")
struct StampTests {
    @Test(
        "is read as it was written",
        arguments: [
            Stamp(publisher: 0, sequence: 0, sent: 0), Stamp(publisher: 1, sequence: 0x9ABC_DEF0, sent: 1),
            Stamp(publisher: .max, sequence: .max, sent: .max),
            Stamp(publisher: 0x0123_4567, sequence: 0x89AB_CDEF, sent: 0xFEDC_BA98_7654_3210),
        ])
    func roundTrip(_ stamp: Stamp) {
        var bytes = [UInt8](repeating: 0, count: Stamp.byteCount)
        bytes.withUnsafeMutableBytes { stamp.write(to: $0.baseAddress!, run: 0xDEAD_BEEF) }
        #expect(bytes.withUnsafeBytes { Stamp($0, run: 0xDEAD_BEEF) } == stamp)
        #expect(bytes.withUnsafeBytes { Stamp($0, run: 0xDEAD_BEEE) } == nil, "another run's")
        #expect(bytes.dropLast().withUnsafeBytes { Stamp($0, run: 0xDEAD_BEEF) } == nil, "cut")
    }

    @Test("is plain text")
    func text() {
        var bytes = [UInt8](repeating: 0, count: Stamp.byteCount)
        let stamp = Stamp(publisher: 10, sequence: 0x1F, sent: 0xAB_0000_0009)
        bytes.withUnsafeMutableBytes { stamp.write(to: $0.baseAddress!, run: 1) }
        #expect(String(decoding: bytes, as: UTF8.self) == "wsbench:000000010000000a0000001f000000ab00000009")
    }

    @Test("is in every frame that is sent, behind a mask", arguments: [48, 125, 126, 65535, 65536])
    func frames(_ byteCount: Int) throws {
        var plan = Plan(targets: [], connectionCount: 1)
        plan.messageByteCount = byteCount
        var writer = MessageWriter(plan: plan)
        let count = min(2, writer.capacity)
        var bytes = Array(writer.frames(publisher: 3, from: 8, count: count, sent: 77))
        #expect(bytes.count == count * plan.frameByteCount)
        var reader = FrameReader()
        let limits = FrameReader.Limits(maximumMessageByteCount: byteCount)
        bytes.withUnsafeMutableBytes { whole in
            var input = whole
            for index in 0..<count {
                guard case .message(.text, let payload, isCompressed: false) = reader.next(&input, limits: limits)
                else {
                    Issue.record("no message")
                    return
                }
                #expect(payload.count == byteCount)
                #expect(
                    Stamp(UnsafeRawBufferPointer(payload), run: plan.run)
                        == Stamp(publisher: 3, sequence: UInt32(8 + index), sent: 77))
            }
            #expect(input.isEmpty)
        }
    }
}
