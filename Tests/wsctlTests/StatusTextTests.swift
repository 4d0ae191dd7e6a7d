import Control
import Testing

@testable import wsctl

@Suite("The text of a status")
struct StatusTextTests {
    @Test func `says what is held for clients, of how much, and of what kind, the most first`() {
        let memory = MemoryStatus(
            limit: 1 << 30, used: 3 << 20, input: 512, mailboxes: 0, answers: 0, backlogs: 2 << 20, history: 1 << 20)
        #expect(
            StatusText.memory(memory)
                == "3.0M bytes for clients, of at most 1.0G (backlogs 2.0M, history 1.0M, input 512)")
    }

    @Test func `says nothing of memory where nobody keeps account, and no bound where there is none`() {
        #expect(StatusText.memory(MemoryStatus()) == nil)
        #expect(StatusText.memory(MemoryStatus(used: 10, answers: 10)) == "10 bytes for clients (answers 10)")
    }
}
