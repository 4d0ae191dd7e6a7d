import TLSHandshake
import Testing

@Suite("Handshakes in progress") struct HandshakesInProgressTests {
    private typealias Handshakes = HandshakesInProgress<Int, String>

    private static let later = Handshakes.roundTrip + 1_000

    @Test("An address that has many loses its oldest")
    func many() {
        var handshakes = Handshakes()
        #expect(handshakes.oneTooMany(at: 0) == nil)
        handshakes.begin(100, from: "honest", at: 0)
        for id in 0..<Handshakes.fewest + 2 { handshakes.begin(id, from: "many", at: UInt64(id + 1)) }
        handshakes.begin(101, from: "honest", at: 50)
        var ended: [Int] = []
        while handshakes.count > 0, let next = handshakes.oneTooMany(at: Self.later) {
            ended.append(next)
            handshakes.end(next)
        }
        // Down to the number of a browser, and then by age.
        #expect(ended == [0, 1, 100] + (2..<Handshakes.fewest + 2) + [101])
        #expect(handshakes.count == 0)
    }

    @Test("Where more begin than can end, chance decides among those of the address that has many")
    func young() {
        var generator = Chance()
        var handshakes = Handshakes()
        for id in 0..<Handshakes.fewest { handshakes.begin(id, from: "browser", at: 0) }
        for id in 100..<120 { handshakes.begin(id, from: "many", at: 0) }
        let some = (0..<1_000).map { _ in handshakes.oneTooMany(at: 1, using: &generator) }
        #expect(Set(some) == Set(100..<120))
        for id in 100..<112 { handshakes.end(id) }
        // Nobody has many now.
        let any = (0..<1_000).map { _ in handshakes.oneTooMany(at: 1, using: &generator) }
        #expect(Set(any) == Set(0..<Handshakes.fewest).union(112..<120))
        #expect(handshakes.oneTooMany(at: Handshakes.roundTrip, using: &generator) == 0)
    }

    @Test("Those without an address of their own never count as many of one")
    func proxies() {
        var generator = Chance()
        var handshakes = Handshakes()
        for id in 0..<30 { handshakes.begin(id, from: nil, at: 0) }
        handshakes.begin(30, from: "a", at: 0)
        let some = (0..<2_000).map { _ in handshakes.oneTooMany(at: 1, using: &generator) }
        #expect(Set(some) == Set(0...30))
        for id in 40..<50 { handshakes.begin(id, from: "many", at: 1) }
        #expect(handshakes.oneTooMany(at: Self.later) == 40)
    }

    @Test("One that is over is forgotten, and one that is not there is nothing")
    func over() {
        var handshakes = Handshakes()
        for id in 0..<20 { handshakes.begin(id, from: id < 10 ? "a" : "b", at: 0) }
        handshakes.end(0)
        handshakes.end(0)
        handshakes.end(99)
        #expect(handshakes.count == 19)
        #expect(handshakes.oneTooMany(at: Self.later) == 10)
    }

    /// Numbers that are the same each time (SplitMix64).
    private struct Chance: RandomNumberGenerator {
        private var state: UInt64 = 42

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
