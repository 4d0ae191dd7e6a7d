import Base
import Broker
import Channels
import Settings
import Testing
import WebSocket

@testable import Engine

/// The state of a shared channel under random schedules, against what its home promises.
@Suite struct SharedChannelModelTests {
    /// The state machine, and a home and a broker around it that note what is answered.
    private struct Bench {
        var shared = SharedChannel()
        var random: Seeded
        let replies: Replies<Reached>
        var clock: UInt64 = 1_000_000

        /// What has been asked for, and the number of answers to each.
        var requests: [Int: (acks: Int, errors: Int)] = [:]
        /// The requests in the order in which they came, and in that of their answers.
        var asked: [Int] = []
        var answered: [Int] = []
        var receiptCount = 0
        var fences: [UInt32: Int] = [:]
        var answerFences: [UInt32: Int] = [:]
        var joins: [Int: Int] = [:]
        var lastFence: UInt32 = 0
        var byteCount = 0

        /// The broker: the batch that it has not answered, and those that are on their way back.
        var unanswered: OutgoingBatch?
        var returning: [(batch: OutgoingBatch, seq: UInt64)] = []
        var epoch = 1
        var seq: UInt64 = 0
        var lastNumber: UInt64 = 0
        var isSubscribed = false
        var isAsked = false

        var position: MessagePosition { MessagePosition(epoch: "e\(epoch)", seq: seq) }

        mutating func append() {
            let number = asked.count
            let isNumbered = random.next() % 8 > 0
            let hasID = isNumbered && random.next() % 4 > 0
            let id = Array("\(number)".utf8)
            var receipt: Receipt?
            if random.next() % 4 == 0 {
                replies.expect(1)
                receipt = Receipt(replies: replies, index: receiptCount)
                receiptCount += 1
            }
            let payload = [UInt8](repeating: 1, count: Int(random.next() % 30 == 0 ? 300_000 : random.next() % 100))
            payload.withUnsafeBytes { payload in
                id.withUnsafeBytes { id in
                    byteCount += shared.append(
                        Publication(
                            form: .chatJSON, opcode: isNumbered ? .text : .binary,
                            sender: ConnectionReference(worker: 0, slot: 1, generation: 1),
                            id: hasID ? id : UnsafeRawBufferPointer(start: nil, count: 0), data: payload),
                        as: isNumbered ? .chatJSON : .binary, receipt: receipt, at: 1, clock)
                }
            }
            guard hasID else { return }
            requests[number] = (0, 0)
            asked.append(number)
        }

        mutating func send() {
            lastNumber += 1
            let history = random.next() % 2 == 0 ? nil : HistoryLimits(messageCount: 9, age: 1, byteCount: 9)
            guard let batch = shared.send("c", number: lastNumber, history: history, within: 5) else { return }
            #expect(unanswered == nil, "two batches unanswered, seed \(random.seed)")
            #expect(batch.numberedCount == PublicationReader.numberedCount(in: batch.publications))
            unanswered = batch
        }

        // What the worker does with a batch, as in `Worker+Shared`.

        private mutating func note(_ batch: SharedChannel.Batch, isError: Bool) {
            batch.forEachRequest { _, id, _, _ in
                let number = Int(String(decoding: id, as: UTF8.self)) ?? -1
                answered.append(number)
                if isError { requests[number]?.errors += 1 } else { requests[number]?.acks += 1 }
            }
            for fence in batch.acknowledgementFences { answerFences[fence.slot, default: 0] += 1 }
        }

        private mutating func acknowledge(_ number: UInt64, _ position: MessagePosition) {
            guard let batch = shared.acknowledge(number: number, at: position) else { return }
            note(batch, isError: false)
        }

        private mutating func finish(_ batch: SharedChannel.Batch, isRefused: Bool = false) {
            byteCount -= batch.byteCount
            if isRefused, !batch.isAcknowledged {
                note(batch, isError: true)
            } else {
                for fence in batch.acknowledgementFences { answerFences[fence.slot, default: 0] += 1 }
            }
            for receipt in batch.positionedReceipts { receipt.answer(1) }
            for fence in batch.fences { fences[fence.slot, default: 0] += 1 }
        }

        private mutating func lose(until position: MessagePosition) {
            for batch in shared.removeAccepted(until: position) { finish(batch) }
            returning.removeAll { _ in true }
        }

        // What the broker does.

        /// Takes the unanswered batch, which comes back if the channel is subscribed.
        mutating func take() -> (OutgoingBatch, MessagePosition)? {
            guard let batch = unanswered else { return nil }
            seq += UInt64(batch.numberedCount)
            if isSubscribed { returning.append((batch, seq)) }
            return (batch, position)
        }

        mutating func accept() {
            guard let (batch, position) = take() else { return }
            // Sometimes it comes back first, with all before it.
            if random.next() % 3 == 0 { while !returning.isEmpty { deliver() } }
            unanswered = nil
            acknowledge(batch.number, position)
            guard let (before, since, last) = shared.accept(number: batch.number) else { return }
            byteCount += since - before
            if let last { finish(last) }
        }

        mutating func refuse() {
            guard let batch = unanswered else { return }
            unanswered = nil
            if let batch = shared.remove(number: batch.number) { finish(batch, isRefused: true) }
        }

        mutating func deliver() {
            guard !returning.isEmpty else { return }
            let (batch, seq) = returning.removeFirst()
            acknowledge(batch.number, MessagePosition(epoch: position.epoch, seq: seq))
            if let own = shared.remove(number: batch.number) {
                finish(own)
                for lost in shared.removeAccepted(before: batch.number) { finish(lost) }
            }
        }

        mutating func renumber() {
            epoch += 1
            seq = 0
            lose(until: position)
        }

        mutating func gap() { lose(until: position) }

        mutating func answerSubscription() {
            guard isAsked else { return }
            isAsked = false
            isSubscribed = true
            for request in shared.adopt() { goOn(request) }
        }

        private mutating func goOn(_ request: SharedChannel.Waiting) {
            if case .join(let request, _) = request { joins[Int(request.connection.slot), default: 0] += 1 }
        }

        mutating func subscribe() { if shared.subscribe() { isAsked = true } }

        mutating func join() {
            let slot = joins.count
            guard shared.phase != .live else { return }
            joins[slot] = 0
            let request = JoinRequest(
                connection: ConnectionReference(worker: 0, slot: UInt32(slot), generation: 1), name: "",
                isMember: false, id: [], since: nil)
            shared.wait(.join(request, Encoding(.json)), at: clock)
            subscribe()
        }

        mutating func reload() {
            guard shared.phase == .live else { return }
            shared.reload()
            isAsked = true
        }

        mutating func expire(_ time: UInt64) {
            clock += time
            for request in shared.takeWaiting(since: clock - 1_000) { goOn(request) }
            for batch in shared.removeOverdue(waitingSince: clock - 1_000, sentSince: clock - 4_000) {
                if batch.number == unanswered?.number, batch.state == .sent { unanswered = nil }
                if batch.state == .accepted { finish(batch) } else { finish(batch, isRefused: true) }
            }
            if let deadline = shared.deadline(waiting: 1_000, silent: 1_000, sent: 4_000) {
                let isBlocked = !shared.holdsBack || unanswered != nil
                #expect(deadline > clock || isBlocked, "something waits for ever, seed \(random.seed)")
            }
        }

        mutating func fence() {
            lastFence += 1
            let connection = ConnectionReference(worker: 0, slot: lastFence, generation: 1)
            if random.next() % 2 == 0 {
                fences[lastFence] = shared.fence(connection) ? 0 : 1
            } else {
                answerFences[lastFence] = shared.fenceAcknowledgements(connection) ? 0 : 1
            }
        }

        mutating func step() {
            clock += random.next() % 50
            switch random.next() % 32 {
            case 0...9: append()
            case 10...15: send()
            case 16...19: accept()
            case 20: refuse()
            case 21...23: deliver()
            case 24: gap()
            case 25: if random.next() % 4 == 0 { renumber() }
            case 26: answerSubscription()
            case 27: subscribe()
            case 28: if random.next() % 4 == 0 { reload() }
            case 29: join()
            case 30: fence()
            default: expire(random.next() % 8 == 0 ? 5_000 : random.next() % 400)
            }
        }

        /// Lets everything come to its end.
        mutating func end() {
            for _ in 0..<200 where !shared.isIdle {
                answerSubscription()
                send()
                accept()
                deliver()
            }
        }
    }

    @Test(arguments: 0..<300)
    func `answers everything once and in order, with one batch on its way`(number: Int) async throws {
        let seed = UInt64.random(in: 0 ... .max)
        let answers = await Replies<Reached>.collect(1) { replies in
            var bench = Bench(random: Seeded(seed: seed), replies: replies)
            for _ in 0..<400 {
                bench.step()
                #expect(bench.byteCount == bench.shared.batches.reduce(0) { $0 + $1.byteCount }, "seed \(seed)")
                #expect(bench.shared.batches.count { $0.state == .sent } <= 1, "seed \(seed)")
                let numbers = bench.shared.batches.filter { $0.state != .waiting }.map(\.number)
                #expect(numbers == numbers.sorted(), "seed \(seed)")
            }
            bench.end()
            #expect(bench.shared.isIdle, "seed \(seed)")
            #expect(bench.byteCount == 0, "seed \(seed)")
            #expect(bench.requests.values.allSatisfy { $0.acks + $0.errors == 1 }, "seed \(seed)")
            #expect(bench.answered == bench.asked, "seed \(seed)")
            #expect(bench.fences.values.allSatisfy { $0 == 1 }, "seed \(seed)")
            #expect(bench.answerFences.values.allSatisfy { $0 == 1 }, "seed \(seed)")
            #expect(bench.joins.values.allSatisfy { $0 == 1 }, "seed \(seed)")
            replies.answer(Reached(index: bench.receiptCount, connections: 0))
        }
        // Each receipt once, and the one that ends it.
        #expect(answers.map(\.index).sorted() == Array(0..<answers.count), "seed \(seed)")
    }

    @Test func `gives each receipt and request its own position`() async throws {
        let answers = await Replies<Reached>.collect(3) { replies in
            var shared = SharedChannel()
            for (index, kind) in [CarriedPublication.Kind.chatJSON, .binary, .systemJSON].enumerated() {
                let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
                _ = shared.append(
                    Publication(form: .chatJSON, opcode: .text, data: nothing), as: kind,
                    receipt: Receipt(replies: replies, index: index), at: 1, 1)
            }
            _ = shared.send("c", number: 4, history: nil, within: 1)
            // A position below the number of publications makes no sense, and no trap.
            #expect(shared.acknowledge(number: 4, at: MessagePosition(epoch: "e", seq: 1)) != nil)
            for receipt in shared.accept(number: 4)?.last?.positionedReceipts ?? [] { receipt.answer(0) }
        }
        #expect(answers.sorted { $0.index < $1.index }.map { $0.position?.seq } == [1, nil, 2])
    }
}
