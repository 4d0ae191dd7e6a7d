import TLSHandshake
import Testing

@Suite("Handshakes in progress") struct HandshakesInProgressTests {
    private typealias Handshakes = HandshakesInProgress<Int, String>

    @Test("The one too many is the oldest of the address that has the most")
    func victim() {
        var handshakes = Handshakes()
        #expect(handshakes.oneTooMany(at: 0) == nil)
        for (id, address) in ["honest", "many", "many", "few", "many", "few"].enumerated() {
            handshakes.begin(id, from: address, at: UInt64(id))
        }
        var ended: [Int] = []
        while let next = handshakes.oneTooMany(at: .max / 2) {
            ended.append(next)
            handshakes.end(next)
        }
        // Where two have the same number, the older goes.
        #expect(ended == [1, 2, 3, 0, 4, 5])
        #expect(handshakes.count == 0)
    }

    @Test("Where each address has one, each gets the time of a round trip")
    func young() {
        var handshakes = Handshakes()
        for id in 0..<3 { handshakes.begin(id, from: "\(id)", at: UInt64(id)) }
        #expect(handshakes.oneTooMany(at: Handshakes.roundTrip - 1) == nil)
        #expect(handshakes.oneTooMany(at: Handshakes.roundTrip) == 0)
        // Who begins a second one meanwhile has no such claim.
        handshakes.begin(3, from: "2", at: 3)
        #expect(handshakes.oneTooMany(at: 4) == 2)
        handshakes.end(2)
        #expect(handshakes.oneTooMany(at: 4) == nil)
    }

    @Test("One that is over is forgotten, and one that is not there is nothing")
    func over() {
        var handshakes = Handshakes()
        for id in 0..<4 { handshakes.begin(id, from: id < 2 ? "a" : "b", at: 0) }
        handshakes.end(0)
        handshakes.end(0)
        handshakes.end(9)
        #expect(handshakes.count == 3)
        #expect(handshakes.oneTooMany(at: 0) == 2)
    }
}
