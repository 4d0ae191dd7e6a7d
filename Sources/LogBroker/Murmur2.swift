/// The choice of a partition for a key, as Kafka's own clients for Java and most others make it: so that what another
/// program appends with the channel as its key gets where nodes look for it.
enum Murmur2 {
    static func partition(of key: String, among count: Int) -> Int {
        guard count > 1 else { return 0 }
        var key = key
        return key.withUTF8 { Int(hash($0) & 0x7FFF_FFFF) % count }
    }

    /// MurmurHash2 with Kafka's seed.
    static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        let factor: UInt32 = 0x5BD1_E995
        var hash: UInt32 = 0x9747_B28C ^ UInt32(truncatingIfNeeded: bytes.count)
        var position = 0
        while position + 4 <= bytes.count {
            var word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[position + $1]) << (8 * UInt32($1)) }
            word = word &* factor
            word ^= word >> 24
            hash = (hash &* factor) ^ (word &* factor)
            position += 4
        }
        if position < bytes.count {
            for (shift, byte) in bytes[position...].enumerated().reversed() {
                hash ^= UInt32(byte) << (8 * UInt32(shift))
            }
            hash = hash &* factor
        }
        hash ^= hash >> 13
        hash = hash &* factor
        return hash ^ (hash >> 15)
    }
}
