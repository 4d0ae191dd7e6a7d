extension String {
    /// The hash of the text's bytes by FNV-1a with 64 bits: the same in every process.
    package var fnv1a: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}
