import Base
import Broker
import BrokerSupport
import NIOCore
import NIOPosix
import Testing

@testable import RedisBroker

extension RedisTests {
    /// A stream as a source of records.
    @Suite struct StreamSource {
        private static let stream = "orders"
        private static let group = "wsd"

        private func add(_ text: String, to server: RedisServer) throws {
            try server.call("XADD", .text(Self.stream), "*", "data", .text(text))
        }

        @Test("A lease that lapsed, though it goes on: what is not acknowledged comes before what is new")
        func lapse() async throws {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let server = try RedisServer()
            defer { server.end() }
            var options = RedisStreamSource.Options(stream: Self.stream, group: Self.group)
            options.lease = .seconds(2)
            let source = RedisStreamSource(
                options, at: RedisBroker.Options(address: server.address, node: .random()), on: group.next())
            source.start()
            try await BrokerConformance.eventually("it is read") { source.state.phase == .reading }
            try add("1", to: server)
            let batch = try #require(await source.next())
            #expect(batch.records.map(\.text) == ["1"])
            server.pause()
            try await BrokerConformance.eventually("the lease is over") { !source.isCurrent(batch.term) }
            // It was not published: the term was over.
            async let again = source.next()
            try await group.next().submit {}.get()
            server.resume()
            try add("2", to: server)
            var records = try #require(await again).records
            if records.count < 2 { records += try #require(await source.next()).records }
            #expect(records.first?.text == "1", "\(records.map(\.text))")
            await source.stop()
            try await group.shutdownGracefully()
        }

        @Test("Records that are too large count towards the bytes that are read at once")
        func pending() throws {
            let server = try RedisServer()
            defer { server.end() }
            try server.call("XGROUP", "CREATE", .text(Self.stream), .text(Self.group), "0", "MKSTREAM")
            for _ in 0..<10 { try add(String(repeating: "x", count: 600), to: server) }
            try server.call(
                "XREADGROUP", "GROUP", .text(Self.group), "wsd", "STREAMS", .text(Self.stream), ">")
            let answer = try server.call(
                "EVAL", .text(RedisStreamScript.pending), 1, .text(Self.stream), .text(Self.group), "wsd", "0", 256,
                1_000, 100, 512)
            #expect(answer.elements?.count == 2)
        }
    }
}

extension Record {
    fileprivate var text: String {
        if case .fields(let fields) = content { String(decoding: fields["data"] ?? [], as: UTF8.self) } else { "" }
    }
}
