import Base
import Broker
import Testing

@testable import RedisBroker

extension RedisTests {
    /// What every broker has to do, done by Redis.
    @Suite struct Conformance {
        @Test("Each node gets each publication once, its publisher too")
        func eachNodeGetsItOnce() async throws {
            try await RedisFixture.with { try await BrokerConformance.eachNodeGetsItOnce($0) }
        }

        @Test("Three publishers, and one order on all nodes")
        func oneOrder() async throws { try await RedisFixture.with { try await BrokerConformance.oneOrder($0) } }

        @Test func answersHaveThePosition() async throws {
            try await RedisFixture.with { try await BrokerConformance.answersHaveThePosition($0) }
        }

        @Test("Publications may be empty, binary, and large")
        func publications() async throws {
            try await RedisFixture.with { try await BrokerConformance.publicationsArriveAsTheyAre($0) }
        }

        @Test func namesMayHaveAnyCharacters() async throws {
            try await RedisFixture.with { try await BrokerConformance.namesMayHaveAnyCharacters($0) }
        }

        @Test("Who does not subscribe hears nothing")
        func othersHearNothing() async throws {
            try await RedisFixture.with { try await BrokerConformance.othersHearNothing($0) }
        }

        @Test(
            "Subscribing under load makes no hole and delivers nothing twice",
            arguments: [BrokerConformance.limits, nil])
        func subscribingUnderLoad(history: HistoryLimits?) async throws {
            try await RedisFixture.with { try await BrokerConformance.subscribingUnderLoad($0, history: history) }
        }

        @Test("History is limited by messages, age and bytes")
        func historyIsLimited() async throws {
            try await RedisFixture.with { try await BrokerConformance.historyIsLimited($0) }
        }

        @Test func historyComesWhole() async throws {
            try await RedisFixture.with { try await BrokerConformance.historyComesWhole($0) }
        }

        @Test func aChannelGoesOnElsewhere() async throws {
            try await RedisFixture.with { try await BrokerConformance.aChannelGoesOnElsewhere($0) }
        }

        @Test("A subscription that was cut misses nothing")
        func cutSubscription() async throws {
            try await RedisFixture.with { try await BrokerConformance.aCutSubscriptionMissesNothing($0) }
        }

        @Test("What is missing from the history is told")
        func gaps() async throws { try await RedisFixture.with { try await BrokerConformance.gapsAreTold($0) } }

        @Test("Lost data begins a new numbering")
        func lostData() async throws {
            try await RedisFixture.with { try await BrokerConformance.lostDataIsANewNumbering($0) }
        }

        @Test("Numbers that are given twice begin a new numbering", arguments: [false, true])
        func rollback(isRepublished: Bool) async throws {
            try await RedisFixture.with { fixture in
                try await BrokerConformance.numbersGivenTwice(fixture, isRepublished: isRepublished)
            }
        }

        @Test("A connection that is cut between a batch and its answer makes no doubles")
        func noneIsTakenTwice() async throws {
            try await RedisFixture.with { try await BrokerConformance.noneIsTakenTwice($0) }
        }

        @Test("Users are known on all nodes, and announced once")
        func presence() async throws {
            try await RedisFixture.with { try await BrokerConformance.presenceOverNodes($0) }
        }

        @Test("The users of a node that is lost vanish in time, and come back with it")
        func lostNode() async throws {
            try await RedisFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let lost = fixture.node { $0.servers = .independent([.tcp(host: "127.0.0.1", port: port)]) }
                try await BrokerConformance.aLostNodesUsersVanish(
                    fixture, within: .seconds(2.5), cut: { _ in try await proxy.cut() },
                    mend: { _ in try await proxy.mend() }, lost: lost)
                try await proxy.end()
            }
        }

        @Test func usersSurviveLostData() async throws {
            try await RedisFixture.with { try await BrokerConformance.usersSurviveLostData($0) }
        }

        @Test func nodesTalk() async throws {
            try await RedisFixture.with { try await BrokerConformance.nodesTalk($0) }
        }

        @Test("Hubs with another prefix on the same server hear nothing of each other")
        func prefixes() async throws {
            try await RedisFixture.with { try await BrokerConformance.otherPrefixesAreSilent($0) }
        }

        @Test("Stopping sends what is there, and takes the node's users with it")
        func stopping() async throws {
            try await RedisFixture.with { try await BrokerConformance.stoppingSendsWhatIsThere($0) }
        }
    }
}
