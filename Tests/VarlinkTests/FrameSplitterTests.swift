import Testing
import Varlink

@Suite("A frame splitter")
struct FrameSplitterTests {
    private func frames(_ splitter: inout FrameSplitter) throws -> [String] {
        var frames: [String] = []
        while let frame = try splitter.next() { frames.append(String(decoding: frame, as: UTF8.self)) }
        return frames
    }

    @Test("takes several messages that come at once, and empty ones")
    func several() throws {
        var splitter = FrameSplitter()
        splitter.append(Array("one\0two\0\0thr".utf8))
        #expect(try frames(&splitter) == ["one", "two", ""])
        splitter.append(Array("ee\0".utf8))
        #expect(try frames(&splitter) == ["three"])
        #expect(splitter.pendingByteCount == 0)
    }

    @Test("finds the same messages however they are cut", arguments: 1...9)
    func pieces(of size: Int) throws {
        let stream = Array("{\"a\":1}\0\0{\"b\":[2,3]}\0unfinished".utf8)
        var splitter = FrameSplitter()
        var found: [String] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            splitter.append(stream[start..<min(start + size, stream.count)])
            found += try frames(&splitter)
        }
        #expect(found == ["{\"a\":1}", "", "{\"b\":[2,3]}"])
        #expect(splitter.pendingByteCount == "unfinished".utf8.count)
    }

    @Test("takes a message of exactly the limit")
    func limit() throws {
        var splitter = FrameSplitter(limit: 4)
        splitter.append(Array("four\0".utf8))
        #expect(try frames(&splitter) == ["four"])
    }

    @Test("refuses a longer one, whether its end is there or not", arguments: ["fives", "fives\0"])
    func tooLong(_ stream: String) {
        var splitter = FrameSplitter(limit: 4)
        splitter.append(Array(stream.utf8))
        #expect(throws: FrameSplitter.FrameTooLarge.self) { try splitter.next() }
    }

    @Test("looks at each byte of a long message once")
    func longMessage() throws {
        // Quadratic work would take minutes here.
        var splitter = FrameSplitter()
        let piece = [UInt8](repeating: 0x61, count: 1024)
        for _ in 0..<4096 {
            splitter.append(piece)
            #expect(try splitter.next() == nil)
        }
        splitter.append([0])
        #expect(try splitter.next()?.count == 4 << 20)
    }
}
