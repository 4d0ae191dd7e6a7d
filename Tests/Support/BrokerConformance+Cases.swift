import Broker
import Testing

/// One thing that every broker has to do, for tests that do all of them.
struct ConformanceCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var run: @Sendable (any BrokerFixture) async throws -> Void

    init(_ name: String, _ run: @escaping @Sendable (any BrokerFixture) async throws -> Void) {
        testDescription = name
        self.run = run
    }
}

extension BrokerConformance {
    /// What every broker has to do, without what needs to know more of its service.
    static let cases: [ConformanceCase] = [
        ConformanceCase("each node gets it once") { try await eachNodeGetsItOnce($0) },
        ConformanceCase("one order") { try await oneOrder($0) },
        ConformanceCase("answers have the position") { try await answersHaveThePosition($0) },
        ConformanceCase("publications arrive as they are") { try await publicationsArriveAsTheyAre($0) },
        ConformanceCase("names may have any characters") { try await namesMayHaveAnyCharacters($0) },
        ConformanceCase("others hear nothing") { try await othersHearNothing($0) },
        ConformanceCase("subscribing under load") { try await subscribingUnderLoad($0, history: limits) },
        ConformanceCase("subscribing under load, no history") { try await subscribingUnderLoad($0, history: nil) },
        ConformanceCase("history is limited") { try await historyIsLimited($0) },
        ConformanceCase("history comes whole") { try await historyComesWhole($0) },
        ConformanceCase("a channel goes on elsewhere") { try await aChannelGoesOnElsewhere($0) },
        ConformanceCase("a cut subscription misses nothing") { try await aCutSubscriptionMissesNothing($0) },
        ConformanceCase("gaps are told") { try await gapsAreTold($0) },
        ConformanceCase("lost data is a new numbering") { try await lostDataIsANewNumbering($0) },
        ConformanceCase("numbers given twice") { try await numbersGivenTwice($0, isRepublished: false) },
        ConformanceCase("numbers given twice, published") { try await numbersGivenTwice($0, isRepublished: true) },
        ConformanceCase("none is taken twice") { try await noneIsTakenTwice($0) },
        ConformanceCase("presence over nodes") { try await presenceOverNodes($0) },
        ConformanceCase("who was there is not announced") { try await whoWasThereIsNotAnnounced($0) },
        ConformanceCase("users survive lost data") { try await usersSurviveLostData($0) },
        ConformanceCase("nodes talk") { try await nodesTalk($0) },
        ConformanceCase("other prefixes are silent") { try await otherPrefixesAreSilent($0) },
        ConformanceCase("stopping sends what is there") { try await stoppingSendsWhatIsThere($0) },
        ConformanceCase("a pause is noticed") { try await aPauseIsNoticed($0, within: .seconds(10)) },
        ConformanceCase("a restart is made up for") { try await aRestartIsMadeUpFor($0) },
        ConformanceCase("many channels come back") { try await manyChannelsComeBack($0, 2_000) },
    ]
}
