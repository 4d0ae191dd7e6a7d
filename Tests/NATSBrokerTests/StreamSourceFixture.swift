import Base
import Broker
import BrokerSupport
import NIOCore
import NIOPosix
import Testing

@testable import NATSBroker

extension NATSTests.StreamSource {
    /// A server with JetStream, a program that publishes there, and a way that can be cut.
    struct Fixture {
        let server: NATSServer
        let proxy: Proxy
        let backend: NATSBackend
        private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

        static func with(
            _ lines: [String] = [], hasJetStream: Bool = true, _ body: (Fixture) async throws -> Void
        ) async throws {
            let server = try NATSServer(["max_payload: 8MB"] + lines, hasJetStream: hasJetStream)
            defer { server.end() }
            let fixture = Fixture(
                server: server, proxy: try await Proxy(to: server.port), backend: try await NATSBackend(server.port))
            let result: Result<Void, any Error>
            do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
            try await fixture.backend.end()
            try await fixture.proxy.end()
            try await fixture.group.shutdownGracefully()
            try result.get()
        }

        private init(server: NATSServer, proxy: Proxy, backend: NATSBackend) {
            self.server = server
            self.proxy = proxy
            self.backend = backend
        }

        /// A source that has been started; by default of all that comes in the stream ORDERS.
        func source(
            by proxy: Proxy? = nil, login: NATSLogin = .none, _ change: (inout NATSStreamSource.Options) -> Void
        ) -> NATSStreamSource {
            var options = NATSStreamSource.Options(stream: "ORDERS", group: "wsd")
            options.lease = .seconds(3)
            options.acknowledgementWait = .seconds(1)
            change(&options)
            let address = NATSAddress(host: "127.0.0.1", port: proxy?.port ?? server.port)
            var place = NATSBroker.Options([address], node: .random())
            place.login = login
            let source = NATSStreamSource(options, at: place, on: group.next())
            source.start()
            return source
        }

        func reads(_ source: NATSStreamSource) async throws { try await `is`(source, .reading) }

        func `is`(_ source: NATSStreamSource, _ phase: SourceState.Phase) async throws {
            try await BrokerConformance.eventually("\(phase), and not \(source.state.phase)") {
                source.state.phase == phase
            }
        }

        func isDown(_ source: NATSStreamSource, _ reason: String) async throws {
            try await BrokerConformance.eventually("\(reason), and not \(source.state.phase)") {
                if case .down(let text) = source.state.phase { text.contains(reason) } else { false }
            }
        }

        /// Takes and settles batches until there are as many records.
        func take(_ count: Int, _ source: NATSStreamSource) async throws -> [Record] {
            var records: [Record] = []
            while records.count < count { records += try await batch(source) }
            return records
        }

        func take(untilText text: String, _ source: NATSStreamSource) async throws -> [Record] {
            var records: [Record] = []
            while records.last?.text != text { records += try await batch(source) }
            return records
        }

        private func batch(_ source: NATSStreamSource) async throws -> [Record] {
            let batch = try #require(await source.next())
            source.settle(batch.records.map { SettledRecord(id: $0.id) })
            return batch.records
        }

        /// Waits until all is read and acknowledged.
        func isDone(_ stream: String, _ group: String = "wsd") async throws {
            try await BrokerConformance.eventually("all is acknowledged") {
                let state = try await backend.ask("$JS.API.CONSUMER.INFO.\(stream).\(group)")
                return state.contains("\"num_ack_pending\":0") && state.contains("\"num_pending\":0")
            }
        }
    }
}

extension Record {
    var fields: [String: [UInt8]] { if case .fields(let fields) = content { fields } else { [:] } }
    var text: String { String(decoding: fields["data"] ?? [], as: UTF8.self) }
    var byteCount: Int {
        if case .tooLarge(let byteCount, _) = content { return byteCount ?? 0 }
        return fields["data"]?.count ?? 0
    }
}
