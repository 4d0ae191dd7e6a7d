import Testing

@testable import wsbench

@Suite("The account of deliveries")
struct DeliveryAccountTests {
    /// The account after some numbers on lane 1 of 3, and by how much each of them went on.
    private func account(_ numbers: [UInt32]) -> (DeliveryAccount, [Int]) {
        var account = DeliveryAccount(laneCount: 3)
        let advances = numbers.map { account.receive($0, lane: 1) }
        return (account, advances)
    }

    @Test("finds nothing wrong with all messages in order")
    func clean() {
        let (account, advances) = account([0, 1, 2, 3])
        #expect(advances == [1, 1, 1, 1])
        #expect(account.deliveredCount == 4)
        #expect(account.missingCount(lane: 1, sentCount: 4) == 0)
        #expect(account.duplicateCount == 0)
        #expect(account.disorderCount == 0)
    }

    @Test("misses what never came: in front, between, and at the end")
    func lost() {
        let (account, advances) = account([2, 3, 6])
        #expect(advances == [3, 1, 3])
        #expect(account.deliveredCount == 3)
        #expect(account.missingBeforeEnd(lane: 1) == 4)
        #expect(account.missingCount(lane: 1, sentCount: 7) == 4)
        #expect(account.missingCount(lane: 1, sentCount: 10) == 7)
        #expect(account.position(lane: 1) == 7)
        #expect(account.duplicateCount + account.disorderCount == 0)
    }

    @Test("keeps lanes apart")
    func lanes() {
        let (account, _) = account([5])
        #expect(account.missingBeforeEnd(lane: 0) == 0)
        #expect(account.missingBeforeEnd(lane: 2) == 0)
        #expect(account.missingCount(lane: 2, sentCount: 6) == 6)
    }

    @Test("tells one that came twice from one that came late")
    func duplicateAndDisorder() {
        let (account, advances) = account([0, 0, 3, 2, 2, 1, 4])
        #expect(advances == [1, 0, 3, 0, 0, 0, 1])
        #expect(account.duplicateCount == 2)
        #expect(account.disorderCount == 2)
        #expect(account.deliveredCount == 5)
        #expect(account.missingCount(lane: 1, sentCount: 5) == 0)
    }

    @Test("does not hold each number of a long gap")
    func longGap() {
        let (account, advances) = account([0, 4_000_000_000, 2_000_000_000, 2_000_000_000])
        #expect(advances == [1, 4_000_000_000, 0, 0])
        #expect(account.missingBeforeEnd(lane: 1) == 3_999_999_998)
        #expect(account.disorderCount == 1)
        #expect(account.duplicateCount == 1)
    }

    @Test("is right for any order: each number once, in a shuffled row with some left out and some twice")
    func anyOrder() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let count = UInt32.random(in: 1...40, using: &random)
            let kept = (0..<count).filter { _ in Bool.random(using: &random) }
            let twice = kept.filter { _ in Bool.random(using: &random) }
            let row = (kept + twice).shuffled(using: &random)
            let (account, _) = account(row)
            var highest = -1
            var late: Set<UInt32> = []
            for (index, number) in row.enumerated() where !row[..<index].contains(number) {
                if Int(number) < highest { late.insert(number) }
                highest = max(highest, Int(number))
            }
            #expect(account.deliveredCount == kept.count, "\(row)")
            #expect(account.duplicateCount == twice.count, "\(row)")
            #expect(account.disorderCount == late.count, "\(row)")
            #expect(account.missingCount(lane: 1, sentCount: Int(count)) == Int(count) - kept.count, "\(row)")
        }
    }
}
