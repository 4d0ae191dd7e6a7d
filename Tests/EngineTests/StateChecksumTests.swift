import Testing

@testable import Engine

@Suite("The checksum of a state")
struct StateChecksumTests {
    @Test func `is the same whatever the pieces`() {
        var random = Seeded()
        for _ in 0..<500 {
            let count = Int.random(in: 0...100, using: &random)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            var sum = StateChecksum(ofByteCount: bytes.count)
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 0...20, using: &random))
                piece.withUnsafeBytes { sum.add($0) }
                rest = rest.dropFirst(piece.count)
            }
            let whole = bytes.withUnsafeBytes { StateChecksum.of($0) }
            #expect(sum.finish() == whole, "seed \(random.seed)")
        }
    }

    @Test func `is another if a bit is, or a byte more`() {
        let bytes = [UInt8](1...29)
        let sum = bytes.withUnsafeBytes { StateChecksum.of($0) }
        for place in bytes.indices {
            for bit in 0..<8 {
                var other = bytes
                other[place] ^= 1 << UInt8(bit)
                #expect(other.withUnsafeBytes { StateChecksum.of($0) } != sum)
            }
        }
        #expect((bytes + [0]).withUnsafeBytes { StateChecksum.of($0) } != sum)
    }
}
