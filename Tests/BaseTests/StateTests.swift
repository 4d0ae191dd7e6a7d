import Testing

@testable import Base

@Suite("A state")
struct StateTests {
    /// Reads what `write` has written.
    private func reading<Value>(
        _ write: (inout StateWriter) -> Void, _ read: (inout StateReader) throws(StateError) -> Value
    ) throws(StateError) -> Value {
        var writer = StateWriter()
        write(&writer)
        return try writer.bytes.reading(read)
    }

    @Test func `comes in pieces of some size, which have everything in its order`() throws {
        let part = [UInt8](repeating: 7, count: StateWriter.pieceByteCount / 3)
        var writer = StateWriter()
        for number in UInt64(0)..<8 {
            writer.write(number)
            writer.write(part)
        }
        #expect(writer.pieces.count > 1 && writer.pieces.allSatisfy { $0.count < 2 * StateWriter.pieceByteCount })
        #expect(Array(writer.pieces.joined()) == writer.bytes)
        try writer.bytes.reading { (reader: inout StateReader) throws(StateError) in
            for number in UInt64(0)..<8 {
                #expect(try reader.number() == number)
                #expect(try Array(reader.bytes()) == part)
            }
            #expect(reader.isAtEnd)
        }
    }

    @Test func `has every value as it was written`() throws {
        var random = Seeded(seed: 7)
        for _ in 0..<2_000 {
            let number = UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64.random(in: 0...63, using: &random)
            let time = Int64(number % 253_402_300_800_000)
            let float = Float(number)
            let bytes = (0..<Int(number % 300)).map { UInt8(truncatingIfNeeded: $0) }
            let text = Bool.random(using: &random) ? "text \(number) é" : nil
            let flag = Bool.random(using: &random)
            var writer = StateWriter()
            writer.write(number)
            writer.write(time: time)
            writer.write(time: nil)
            writer.write(float)
            writer.write(fixed: UInt32(truncatingIfNeeded: number))
            writer.write(bytes)
            writer.write(text)
            writer.write(flag)
            try writer.bytes.reading { (reader: inout StateReader) throws(StateError) in
                #expect(try reader.number() == number)
                #expect(try reader.time() == time)
                #expect(try reader.time() == nil)
                #expect(try reader.float() == float)
                #expect(try reader.fixed() == UInt32(truncatingIfNeeded: number))
                #expect(Array(try reader.bytes()) == bytes)
                #expect(try reader.optionalText() == text)
                #expect(try reader.flag() == flag)
                #expect(reader.isAtEnd)
            }
        }
    }

    @Test func `is refused where a value is too large, or more is announced than there is`() {
        func isRefused<Value>(_ bytes: [UInt8], _ read: (inout StateReader) throws(StateError) -> Value) -> Bool {
            (try? bytes.reading(read)) == nil
        }
        let most = [UInt8](repeating: 0xFF, count: 9) + [0x01]
        #expect((try? most.reading { (reader) throws(StateError) in try reader.number(UInt64.self) }) == .max)
        #expect(isRefused(most) { (reader) throws(StateError) in try reader.number(UInt32.self) })
        #expect(isRefused(most) { (reader) throws(StateError) in try reader.count(atMost: .max) })
        #expect(isRefused(most) { (reader) throws(StateError) in try reader.bytes() })
        #expect(isRefused(most) { (reader) throws(StateError) in try reader.elementCount() })
        #expect(isRefused(most) { (reader) throws(StateError) in try reader.time() })
        #expect(
            isRefused([UInt8](repeating: 0xFF, count: 9) + [0x02]) { (reader) throws(StateError) in
                try reader.number(UInt64.self)
            })
        #expect(isRefused([0x80]) { (reader) throws(StateError) in try reader.number(UInt64.self) })
        #expect(isRefused([]) { (reader) throws(StateError) in try reader.byte() })
        #expect(isRefused([1, 2, 3]) { (reader) throws(StateError) in try reader.fixed() })
        #expect(isRefused([0, 0, 0x80, 0x7F]) { (reader) throws(StateError) in try reader.float() })
        #expect(isRefused([3, 1, 2]) { (reader) throws(StateError) in try reader.bytes() })
        #expect(isRefused([2, 1, 2]) { (reader) throws(StateError) in try reader.bytes(atMost: 1) })
        #expect(isRefused([2, 0xC3, 0x28]) { (reader) throws(StateError) in try reader.text() })
        #expect(isRefused([3, 1, 2, 3, 4]) { (reader) throws(StateError) in try reader.elementCount(ofAtLeast: 2) })
        #expect(isRefused([2]) { (reader) throws(StateError) in try reader.flag() })
    }

    @Test func `has each shared object once, and refers to none that it does not have`() throws {
        final class Box {
            let value: UInt64
            init(_ value: UInt64) { self.value = value }
        }
        let boxes = (0..<3).map { Box($0) }
        var writer = StateWriter()
        var shared = SharedWriter<Box>()
        for index in [0, 1, 0, 2, 1] {
            shared.write(boxes[index], to: &writer) { $0.write(boxes[index].value) }
        }
        var known = SharedReader<Box>()
        try writer.bytes.reading { (reader: inout StateReader) throws(StateError) in
            var read: [Box] = []
            for _ in 0..<5 {
                read.append(
                    try known.read(from: &reader) { (reader) throws(StateError) in Box(try reader.number()) })
            }
            #expect(read.map(\.value) == [0, 1, 0, 2, 1])
            #expect(read[0] === read[2] && read[1] === read[4] && reader.isAtEnd)
        }
        var none = SharedReader<Box>()
        #expect(throws: StateError.self) {
            try [UInt8]([1, 5]).reading { (reader: inout StateReader) throws(StateError) in
                try none.read(from: &reader) { (reader) throws(StateError) in Box(try reader.number()) }
            }
        }
    }
}
