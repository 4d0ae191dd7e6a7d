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
        let first = slab.allocate(Link(5), address: address, port: 1)!
        let tag = first.tag
        check(slab.find(tag: tag)?.slot == first.slot)
        check(slab.find(tag: tag + 1 << 32) == nil)
        check(slab.find(tag: tag + 1) == nil)
        first.advance(.ended)
        check(slab.find(tag: tag) == nil)
        slab.release(first)
        check(slab.find(tag: tag) == nil)
        let again = slab.allocate(Link(6), address: address, port: 1)!
        #expect(again.slot == first.slot)
        check(slab.find(tag: tag) == nil, "the old tag must not mean the new connection")
        check(slab.find(tag: tag + 1 << 32) != nil)
    }

    /// Connections of an earlier process keep their ids in whatever slots they get, and no newcomer gets one of these.
    @Test func anIDOfAnEarlierProcessIsFoundAndNeverGivenAgain() {
        let old = (0..<4).map { ConnectionID(worker: 0, slot: 3 - $0, number: 100 + UInt64($0)) }
        var slab = Slab(capacity: 4)
        for id in old { _ = slab.allocate(Link(5), address: address, port: 1, id: id) }
        for (slot, id) in old.enumerated() { check(slab.find(id)?.slot == slot && slab[slot].id == id) }
        var given = Set(old)
        for _ in 0..<5 {
            for slot in 0..<3 {
                let gone = slab[slot].id
                slab[slot].advance(.ended)
                slab.release(slab[slot])
                check(slab.find(gone) == nil)
                let next = slab.allocate(Link(6), address: address, port: 1)!
                check(next.slot == slot && slab.find(next.id)?.slot == slot)
                check(given.insert(next.id).inserted, "the id of another connection")
            }
        }
        check(slab.find(old[3])?.slot == 3)
    }

    @Test func aFullSlabTakesNoMore() {
        var slab = Slab(capacity: 3)
        let slots = (0..<3).map { slab.allocate(Link(Int32($0)), address: address, port: 0)?.slot }
        #expect(slots == [0, 1, 2])
        check(slab.allocate(Link(9), address: address, port: 0) == nil)
        slab[1].advance(.ended)
        slab.release(slab[1])
        check(slab.count == 2)
        check(slab.allocate(Link(9), address: address, port: 0)?.slot == 1)
    }

    /// Against a plain array, over many random steps.
    @Test func sweepFindsWhatIsDueAndTheEarliestOfTheRest() {
        var slab = Slab(capacity: 200)
        for slot in 0..<150 { _ = slab.allocate(Link(Int32(slot)), address: address, port: 0) }
        var random = Seeded()
        for round in 0..<100 {
            var expected: [Int: UInt32] = [:]
            for slot in 0..<150 {
                let deadline = Bool.random(using: &random) ? Slab.never : UInt32.random(in: 1...200, using: &random)
                slab.deadlines[slot] = deadline
                if deadline != Slab.never { expected[slot] = deadline }
            }
            let now = UInt32(round * 2)
            var found: [Int] = []
            let deadlines = slab.deadlines
            let next = slab.sweep(now: now) { connection in
                found.append(connection.slot)
                deadlines[connection.slot] = Slab.never
            }
            #expect(found.sorted() == expected.filter { $0.value <= now }.map(\.key).sorted(), "seed \(random.seed)")
            #expect(next == expected.values.filter { $0 > now }.min() ?? Slab.never)
        }
    }

    @Test func aRecordStaysSmall() {
        // An idle connection is this, its deadline and its place in a subscriber list: the budget is 256 bytes.
        #expect(MemoryLayout<ConnectionRecord>.stride <= 152)
    }
}
