import Testing

@testable import Engine

@Suite("The statistics")
struct StatisticsTests {
    @Test func `have a count for each cause`() {
        #expect(Statistics().refused.count == RefusalCause.allCases.count)
        #expect(Statistics().closed.count == CloseCause.allCases.count)
    }

    @Test func `of several workers add up`() {
        var one = Statistics()
        var other = Statistics()
        one.refused[3] = 1
        other.refused[3] = 2
        other.closed[15] = 4
        one.memory.limit = 10
        other.memory.limit = 20
        (other.memory.used, other.memory.input, other.memory.mailboxes) = (36, 1, 2)
        (other.memory.answers, other.memory.backlogs, other.memory.history) = (3, 4, 5)
        one += other
        one += other
        #expect(one.refused[3] == 5 && one.closed[15] == 8)
        #expect(one.memory.limit == 50 && one.memory.used == 72 && one.memory.other == 42)
        #expect(one.memory.input == 2 && one.memory.mailboxes == 4 && one.memory.answers == 6)
        #expect(one.memory.backlogs == 8 && one.memory.history == 10)
    }
}
