import Testing

@testable import Engine

@Suite("The life cycle of a connection") struct LifeCycleTests {
    /// Every change there is, as the drawing in the type's comment has it.
    private static let changes: [(LifeCycle.Phase, LifeCycle.Event, LifeCycle.Phase)] =
        [
            (.free, .accepted, .handshake), (.handshake, .requested, .admitting), (.admitting, .requested, .admitting),
            (.admitting, .opened, .open), (.open, .heldBack, .fenced), (.open, .closeSent, .closing),
            (.handshake, .finished, .finishing), (.admitting, .finished, .finishing), (.open, .finished, .finishing),
            (.fenced, .finished, .finishing), (.closing, .finished, .finishing), (.finishing, .sentAll, .lingering),
            (.dead, .freed, .free),
        ] + LifeCycle.Phase.allCases.filter { $0 != .free && $0 != .dead }.map { ($0, .ended, .dead) }

    @Test("each event is possible in these phases and no others", arguments: LifeCycle.Event.allCases)
    func everyEvent(_ event: LifeCycle.Event) {
        for phase in LifeCycle.Phase.allCases {
            let known = Self.changes.first { $0.0 == phase && $0.1 == event }?.2
            #expect(LifeCycle.phase(after: phase, event) == known, "\(event) in phase \(phase)")
        }
    }

    @Test("whatever happens, the phases of a connection come in their order, and its slot is free in the end")
    func anyLife() {
        let order: [LifeCycle.Phase: Int] = [
            .free: 0, .handshake: 1, .admitting: 2, .open: 3, .fenced: 4, .closing: 4, .finishing: 5, .lingering: 6,
            .dead: 7,
        ]
        var random = Seeded()
        for _ in 0..<1_000 {
            var life = LifeCycle()
            life.advance(.accepted)
            var last = 0
            while life.phase != .dead {
                let possible = LifeCycle.Event.allCases.filter { LifeCycle.phase(after: life.phase, $0) != nil }
                // A connection can end in every phase, so that it never hangs in one.
                #expect(possible.contains(.ended), "\(life.phase), seed \(random.seed)")
                life.advance(possible.randomElement(using: &random) ?? .ended)
                #expect(order[life.phase, default: 0] >= last, "\(life.phase), seed \(random.seed)")
                last = order[life.phase, default: 0]
            }
            life.advance(.freed)
            #expect(life.phase == .free)
        }
    }

    @Test("frames are read while the connection is open, and up to the peer's close frame")
    func readsFrames() {
        #expect(LifeCycle.Phase.allCases.filter(\.readsFrames) == [.open, .closing])
    }
}
