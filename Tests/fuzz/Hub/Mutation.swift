/// Random numbers that a seed says (SplitMix64).
struct Random {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// A number from 0 up to, and without, a limit, which is at least 1.
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next()) }

    mutating func record() -> [UInt8] { (0..<Program.recordByteCount).map { _ in byte() } }
}

/// Ways to make another program of one.
enum Mutation {
    /// One that is like no other.
    static func program(_ random: inout Random) -> [UInt8] {
        var program = random.record() + random.record()
        for _ in 0...random.below(3) { program += [UInt8(random.below(40))] + random.record().dropFirst() }
        for _ in 0...random.below(4) {
            program += random.below(4) == 0 ? random.record() + random.record() : episode(&random)
        }
        return program
    }

    /// What one client does in one channel, while others do something now and then.
    private static func episode(_ random: inout Random) -> [UInt8] {
        let requests = Step.Kind.byByte.firstIndex(of: .request)!
        let (client, channel) = (UInt8(random.below(6)), UInt8(random.below(8)))
        return (0...random.below(12)).flatMap { _ in
            var record = random.record()
            guard random.below(4) > 0 else { return record }
            record[0] = UInt8(requests)
            record[1] = client
            record[3] = record[3] & 0xF0 | channel
            return record
        }
    }

    static func change(_ program: inout [UInt8], _ random: inout Random) {
        let size = Program.recordByteCount
        while program.count % size > 0 { program.append(0) }
        let count = program.count / size
        guard count > 2, random.below(12) > 0 else {
            program = Self.program(&random)
            return
        }
        // The first two records are what the hub begins with.
        let place = 2 + random.below(count - 2)
        let start = place * size
        switch random.below(12) {
        case 0, 1: program.insert(contentsOf: random.record(), at: start)
        case 2: program.insert(contentsOf: episode(&random), at: start)
        case 3: program.removeSubrange(start..<(start + size))
        case 4: program.removeSubrange(start..<min(program.count, start + size * (1 + random.below(8))))
        case 5:
            // A step again, later or earlier.
            let other = (2 + random.below(count - 2)) * size
            program.insert(contentsOf: Array(program[start..<(start + size)]), at: other)
        case 6:
            let other = (2 + random.below(count - 2)) * size
            for offset in 0..<size { program.swapAt(start + offset, other + offset) }
        case 7: program.replaceSubrange(size..<(2 * size), with: random.record())
        case 8: program[random.below(2 * size)] ^= 1 << UInt8(random.below(8))
        case 9, 10: program[start + random.below(size)] = random.byte()
        default: program[start + random.below(size)] ^= 1 << UInt8(random.below(8))
        }
    }
}
