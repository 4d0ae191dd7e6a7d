import Base
import Broker
import Testing

@testable import LogBroker

/// What every broker has to do, as far as logs are concerned.
private enum LogConformance {
    /// What a node misses of a log, it reads later: there are no gaps to tell of. And a cut connection takes seconds to
    /// come back, so that there is a shorter test of many cuts.
    static let cases = BrokerConformance.cases.filter {
        !["gaps are told", cuts].contains($0.testDescription)
    }
    /// What the test of many cuts stands for.
    static let cuts = "none is taken twice"
    static let losses = ["lost data is a new numbering", "users survive lost data"]
    static let rollbacks = ["numbers given twice", "numbers given twice, published"]
    static let cutCount = 12

    /// What is asked of Kafka, by what stands in for it: none of them can go back in time.
    static let kafka = cases.filter { !(losses + rollbacks).contains($0.testDescription) }
    static let kafkaLosses = cases.filter { losses.contains($0.testDescription) }
}

/// Beside each other: they share nothing.
@Suite(.blocking) struct KafkaLogTests {
    @Test(
        "What every broker has to do, by Kafka's protocol",
        arguments: LogConformance.kafka)
    func kafka(_ conformance: ConformanceCase) async throws {
        try await LogFixture.with(MockKafka()) { try await conformance.run($0) }
    }

    @Test("What is to be done when Kafka has lost its data", arguments: LogConformance.kafkaLosses)
    func loss(_ conformance: ConformanceCase) async throws {
        try await LogFixture.with(NoidaServer()) { try await conformance.run($0) }
    }

    @Test(
        "The manual says what is asked of Kafka and RabbitMQ",
        arguments: [
            ("kafka", LogConformance.kafka + LogConformance.kafkaLosses), ("rabbitmq", LogConformance.cases),
        ])
    func manual(_ name: String, _ cases: [ConformanceCase]) throws {
        let broker = LogBroker(TestPlugins.plugin(name), LogBroker.Options("", plugin: [], node: .random()))
        try PromisedCases.areInTheManual(
            of: name, broker.traits, cases.map(\.testDescription) + [LogConformance.cuts])
    }

    @Test("What Kafka may have appended is appended again, and none is taken twice")
    func cuts() async throws {
        try await LogFixture.with(MockKafka()) {
            try await BrokerConformance.noneIsTakenTwice($0, LogConformance.cutCount)
        }
    }
}

/// One after the other, for the server is the same: RabbitMQ takes seconds to start.
@Suite(.blocking, .serialized) struct RabbitLogTests {
    @Test(
        "What every broker has to do, by RabbitMQ",
        arguments: LogConformance.cases.filter {
            !(LogConformance.losses + LogConformance.rollbacks).contains($0.testDescription)
        })
    func rabbitmq(_ conformance: ConformanceCase) async throws {
        try await LogFixture.with(SharedRabbitServer()) { try await conformance.run($0) }
    }

    @Test("The users of a node that is lost vanish in time, and come back with it")
    func lostNode() async throws {
        let server = try await SharedRabbitServer()
        try await LogFixture.with(server) { fixture in
            let proxy = try await Proxy(to: server.port)
            let port = proxy.port
            let lost = fixture.node { options in
                options.plugin.removeAll { $0.key == "servers" }
                options.plugin.append(("servers", "127.0.0.1:\(port)"))
            }
            try await BrokerConformance.aLostNodesUsersVanish(
                fixture, within: patience, cut: { _ in try await proxy.cut() },
                mend: { _ in try await proxy.mend() }, lost: lost)
            try await proxy.end()
        }
    }
}

/// With servers of their own, one at a time: several that start at once keep a machine busy for a minute.
@Suite(.blocking, .serialized) struct RabbitServerTests {
    @Test(
        "What is to be done when RabbitMQ has lost or goes back to older data",
        arguments: LogConformance.cases.filter {
            (LogConformance.losses + LogConformance.rollbacks).contains($0.testDescription)
        })
    func loss(_ conformance: ConformanceCase) async throws {
        try await LogFixture.with(RabbitServer()) { try await conformance.run($0) }
    }

    @Test("What RabbitMQ may have appended is appended again, and none is taken twice")
    func cuts() async throws {
        try await LogFixture.with(RabbitServer()) {
            try await BrokerConformance.noneIsTakenTwice($0, LogConformance.cutCount)
        }
    }
}
