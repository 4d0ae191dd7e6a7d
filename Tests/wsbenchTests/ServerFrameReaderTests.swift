import Testing

@testable import wsbench

@Suite("A server's frames")
struct ServerFrameReaderTests {
    private static let letters = Array("abcdefghijklmnopqrstuvwxyz".utf8)

    private static func text(_ count: Int) -> [UInt8] { (0..<count).map { letters[$0 % 26] } }

    private static func front(_ count: Int) -> String {
        String(decoding: text(count).prefix(Stamp.byteCount), as: UTF8.self)
    }

    @Test(
        "are read wherever a read cuts them", arguments: [1, 2, 3, 7, 47, 48, 49, 50, 127, 128, 1000, 70_000, 1 << 20])
    func cuts(_ pieceByteCount: Int) {
        let sizes = [0, 1, 48, 125, 126, 300, 65535, 65536]
        var bytes: [UInt8] = []
        var wanted: [String] = []
        for size in sizes {
            bytes += ServerFrames.frame(0x81, Self.text(size)) + ServerFrames.frame(0x89, Self.text(5))
            wanted += ["message \(size) \(Self.front(size))", "ping abcde"]
        }
        bytes += ServerFrames.frame(0x8A, Self.text(125)) + ServerFrames.frame(0x88, [0x03, 0xF1] + Self.text(3))
        wanted += ["pong " + String(decoding: Self.text(125), as: UTF8.self), "close 1009 abc"]
        #expect(ServerFrames.read(bytes, pieceByteCount: pieceByteCount).filter { $0 != "idle" } == wanted)
    }

    @Test("may be fragments, with control frames between", arguments: [1, 2, 5, 10_000])
    func fragments(_ pieceByteCount: Int) {
        let bytes =
            ServerFrames.frame(0x01, Self.text(30)) + ServerFrames.frame(0x89, []) + ServerFrames.frame(0x00, [])
            + ServerFrames.frame(0x80, Array(Self.text(60).dropFirst(30))) + ServerFrames.frame(0x82, Self.text(1))
        #expect(
            ServerFrames.read(bytes, pieceByteCount: pieceByteCount)
                == ["ping ", "message 60 \(Self.front(60))", "message 1 a", "idle"])
    }

    @Test("may be compressed where that was agreed, and are kept whole then", arguments: [1, 60, 10_000])
    func compressed(_ pieceByteCount: Int) {
        let bytes = ServerFrames.frame(0xC1, Self.text(200))
        let wanted = ["deflated 200 \(Self.front(200))", "idle"]
        #expect(ServerFrames.read(bytes, pieceByteCount: pieceByteCount, allowsCompression: true) == wanted)
    }

    @Test("leave nothing behind between messages, and something in the middle of one")
    func idle() {
        let bytes = ServerFrames.frame(0x81, Self.text(100))
        #expect(ServerFrames.read(bytes, pieceByteCount: 10).last == "idle")
        #expect(ServerFrames.read(Array(bytes.dropLast()), pieceByteCount: 10) == [])
    }

    @Test(
        "that break the protocol are found out, whole and by the byte",
        arguments: [
            ([0x81, 0x85, 1, 2, 3, 4, 0, 0, 0, 0, 0], "a masked frame"),
            ([0xC1, 0x00], "reserved bits 4 that no extension defines"),
            ([0x91, 0x00], "reserved bits 1 that no extension defines"),
            ([0x83, 0x00], "reserved opcode 3"),
            ([0x8B, 0x00], "reserved opcode 11"),
            ([0x81, 126, 0, 125], "length 125 in 16 bits"),
            ([0x81, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "length 65535 in 64 bits"),
            ([0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "length 9223372036854775808 in 64 bits"),
            ([0x09, 0x00], "a fragmented control frame"),
            ([0x89, 126, 0, 126], "a control frame of 126 bytes"),
            ([0x80, 0x00], "a continuation of no message"),
            ([0x01, 0x00, 0x81, 0x00], "a new message inside a fragmented one"),
            ([0x88, 0x01, 0x03], "a close frame with half a code"),
            ([0x88, 0x02, 0x03, 0xED], "close code 1005"),
        ] as [([UInt8], String)])
    func violations(_ bytes: [UInt8], _ text: String) {
        for pieceByteCount in [1, bytes.count] {
            let found = ServerFrames.read(bytes, pieceByteCount: pieceByteCount).filter { $0 != "idle" }
            #expect(found == ["failure \(text)"])
        }
    }

    @Test("with RSV1 on a control frame or a continuation are wrong even where compression was agreed")
    func compressedControl() {
        for bytes: [UInt8] in [[0xC9, 0x00], [0x01, 0x00, 0xC0, 0x00], [0xE1, 0x00]] {
            let found = ServerFrames.read(bytes, pieceByteCount: 99, allowsCompression: true)
            #expect(found.contains { $0.hasPrefix("failure reserved bits") })
        }
    }
}
