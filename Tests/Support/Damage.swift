import Base

extension [UInt8] {
    /// Passes a reader of these bytes to `body`.
    func reading<Value: ~Copyable>(
        _ body: (inout StateReader) throws(StateError) -> Value
    ) throws(StateError) -> Value {
        try span.bytes.withUnsafeBytes { (bytes) throws(StateError) in
            var reader = StateReader(bytes)
            return try body(&reader)
        }
    }

    /// Passes every front part of the bytes, and `count` copies with random damage, to `body`.
    func damaged(_ count: Int, seed: UInt64, _ body: ([UInt8]) -> Void) {
        var random = Seeded(seed: seed)
        for end in indices where self.count < 4_000 || Int.random(in: 0..<self.count, using: &random) < 4_000 {
            body(Array(self[..<end]))
        }
        guard !isEmpty else { return }
        for _ in 0..<count {
            var bytes = self
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
                case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                case 3 where bytes.count > 1: bytes.remove(at: index)
                default: bytes[index] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
                }
            }
            body(bytes)
        }
    }
}
