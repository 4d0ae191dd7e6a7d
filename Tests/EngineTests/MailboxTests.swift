import Settings
import Synchronization
import Testing

@testable import Engine

@Suite struct MailboxTests {
    @Test func eachProducersLettersArriveInItsOrder() async {
        let mailbox = Mailbox()
        let producers = 4
        let count = 5_000
        await withTaskGroup(of: Void.self) { group in
            for producer in 0..<producers {
                group.addTask {
                    for number in 0..<count { mailbox.post(.control(.probe(UInt64(producer * count + number)))) }
                }
            }
            group.addTask {
                var next = [Int](repeating: 0, count: producers)
                var taken = 0
                while taken < producers * count {
                    mailbox.takeAll { message, _ in
                        guard case .control(.probe(let value)) = message else { return }
                        let producer = Int(value) / count
                        #expect(Int(value) % count == next[producer])
                        next[producer] += 1
                        taken += 1
                    }
                    await Task.yield()
                }
            }
        }
    }

    @Test func messagesThatNobodyTakesAreFreed() {
        weak var forgotten: Segment?
        do {
            let segment = Segment(copying: [1, 2, 3])
            forgotten = segment
            let mailbox = Mailbox()
            mailbox.post(.connections(.deliver(channel: "a", Delivery([segment, nil], for: .any(.relay)), [])))
        }
        #expect(forgotten == nil)
    }
}
