import Base
import Testing

@testable import Engine

@Suite struct SlabTests {
    private let address = IPAddress("192.0.2.1")!

    /// `#expect` would copy the slab to show it.
    private func check(_ condition: Bool, _ comment: Comment? = nil, _ location: SourceLocation = #_sourceLocation) {
        #expect(condition, comment, sourceLocation: location)
    }

    @Test func aSlotIsFoundByItsGenerationOnly() {
        var slab = Slab(capacity: 4)
        let slot = slab.allocate(Link(5), address: address, port: 1)!
        let generation = slab[slot].pointee.generation
        check(slab.find(slot: slot, generation: generation) != nil)
        check(slab.find(slot: slot, generation: generation + 1) == nil)
        check(slab.find(slot: slot + 1, generation: generation) == nil)
        slab.release(slot)
        check(slab.find(slot: slot, generation: generation) == nil)
        let again = slab.allocate(Link(6), address: address, port: 1)!
        #expect(again == slot)
        check(slab.find(slot: slot, generation: generation) == nil, "the old id must not mean the new connection")
        check(slab.find(slot: slot, generation: generation + 1) != nil)
    }

    @Test func aFullSlabTakesNoMore() {
        var slab = Slab(capacity: 3)
        let slots = (0..<3).map { slab.allocate(Link(Int32($0)), address: address, port: 0) }
        #expect(slots == [0, 1, 2])
        check(slab.allocate(Link(9), address: address, port: 0) == nil)
        slab.release(1)
        check(slab.count == 2)
        check(slab.allocate(Link(9), address: address, port: 0) == 1)
    }

    /// Against a plain array, over many random steps.
    @Test func sweepFindsWhatIsDueAndTheEarliestOfTheRest() {
        var slab = Slab(capacity: 200)
        for slot in 0..<150 { _ = slab.allocate(Link(Int32(slot)), address: address, port: 0) }
        for round in 0..<100 {
            var expected: [Int: UInt32] = [:]
            for slot in 0..<150 {
                let deadline = Bool.random() ? Slab.never : UInt32.random(in: 1...200)
                slab.deadlines[slot] = deadline
                if deadline != Slab.never { expected[slot] = deadline }
            }
            let now = UInt32(round * 2)
            var found: [Int] = []
            let deadlines = slab.deadlines
            let next = slab.sweep(now: now) { slot in
                found.append(slot)
                deadlines[slot] = Slab.never
            }
            #expect(found.sorted() == expected.filter { $0.value <= now }.map(\.key).sorted())
            #expect(next == expected.values.filter { $0 > now }.min() ?? Slab.never)
        }
    }

    @Test func aRecordStaysSmall() {
        // An idle connection is this, its deadline and its place in a subscriber list: the budget is 256 bytes.
        #expect(MemoryLayout<Connection>.stride <= 160)
    }
}
