import Control
import Testing

@testable import wsctl

@Suite("The text of a status")
struct StatusTextTests {
    @Test func `says what is held for clients, of how much, and of what kind, the most first`() {
        let memory = MemoryStatus(
            limit: 1 << 30, used: 3 << 20, input: 512, mailboxes: 0, backlogs: 2 << 20, history: 1 << 20)
        #expect(
            StatusText.memory(memory)
                == "3.0M bytes for clients, of at most 1.0G (backlogs 2.0M, history 1.0M, input 512)")
    }

    @Test func `says which histories go on after a crash, and why none do`() {
        let recovered = RecoveryReport(channels: 1, messages: 12, takenAt: "2026-12-01T10:00:00.000Z")
        #expect(
            StatusText.recovery(recovered)
                == "1 channel with 12 messages after a crash; snapshot of 2026-12-01T10:00:00.000Z")
        let nothing = RecoveryReport(channels: 0, messages: 0, problem: "it is torn")
        #expect(StatusText.recovery(nothing) == "nothing after a crash: it is torn")
    }

    @Test func `says nothing of memory where nobody keeps account, and no bound where there is none`() {
        #expect(StatusText.memory(MemoryStatus()) == nil)
        #expect(StatusText.memory(MemoryStatus(used: 10, history: 10)) == "10 bytes for clients (history 10)")
    }
}
