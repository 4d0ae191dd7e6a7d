import Base
import Broker
import Testing

@testable import NATSBroker

extension NATSTests {
    /// What every broker has to do, done by NATS with JetStream.
    @Suite struct Conformance {
        @Test("What every broker has to do", arguments: BrokerConformance.cases)
        func oneServer(_ conformance: ConformanceCase) async throws {
            try await NATSFixture.with { try await conformance.run($0) }
        }

        @Test("The manual says what is asked of NATS")
        func manual() throws {
            let broker = NATSBroker(NATSBroker.Options([], node: .random()))
            try PromisedCases.areInTheManual(
                of: "nats", broker.traits, BrokerConformance.cases.map(\.testDescription))
        }

        @Test("The users of a node that is lost vanish in time, and come back with it")
        func lostNode() async throws {
            try await NATSFixture.with { fixture in
                let proxy = try await Proxy(to: fixture.server.port)
                let port = proxy.port
                let lost = fixture.node { $0.servers = [NATSAddress(host: "127.0.0.1", port: port)] }
                try await BrokerConformance.aLostNodesUsersVanish(
                    fixture, within: .seconds(2.5), cut: { _ in try await proxy.cut() },
                    mend: { _ in try await proxy.mend() }, lost: lost)
                try await proxy.end()
            }
        }
    }
}
