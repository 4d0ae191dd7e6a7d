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
        one += other
        #expect(one.refused[3] == 3 && one.closed[15] == 4)
    }
}
