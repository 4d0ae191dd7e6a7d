import Base
import Testing

@testable import Engine

@Suite("The ids of connections") struct ConnectionIDTests {
    @Test("an id holds what it is made of, and its text means the same id")
    func parts() {
        let id = ConnectionID(worker: 3, slot: 17, number: 52_311)
        #expect(id.worker == 3)
        #expect(id.slot == 17)
        #expect(id.number == 52_311)
        #expect(id.generation == 52_311)
        #expect(ConnectionID(id.description) == id)
        #expect(ConnectionID(id.description.uppercased()) == id)
    }

    @Test("every number of 64 bits has a text that means it")
    func everyText() {
        var generator = Seeded()
        for step in 0..<10_000 {
            let raw = UInt64.random(in: 0...UInt64.max, using: &generator) >> UInt64(step % 64)
            let id = ConnectionID(
                worker: Int(raw >> 34 & 0x3F), slot: Int(truncatingIfNeeded: raw >> 40), number: raw)
            #expect(id.rawValue == raw, "seed \(generator.seed)")
            #expect(ConnectionID(id.description) == id, "seed \(generator.seed), \(id)")
            #expect(id.description.utf8.count <= 13)
        }
    }

    @Test("characters that are easily confused mean the same digit")
    func confused() {
        #expect(ConnectionID("10o1") == ConnectionID("iOoL"))
        #expect(ConnectionID("10o1")?.description == "1001")
    }

    @Test(
        "what is no id is refused",
        arguments: [
            "", "1.2.3", "u", "é", "-1", " 1", "1 ", "\u{0}", "fzzzzzzzzzzzzz", "gzzzzzzzzzzzz", "@", "[", "`", "{",
            "\u{212A}",
        ])
    func noID(_ text: String) {
        #expect(ConnectionID(text) == nil)
    }
}
