import Base
import ClusterControl
import Control
import FoundationEssentials
import NIOHTTP1
import Synchronization
import Testing
import Varlink

@testable import API

@Suite("The API of a node with a broker")
struct ClusterTests {
    private let exchange: Exchange
    private let backends: [MemoryBackend]
    private let methods: Methods
    private let alone: Methods

    init() {
        let exchange = Exchange()
        let backends = (1...2).map { MemoryBackend(count: 4, worker: $0) }
        let cluster = exchange.add(1, backends[0])
        exchange.add(2, backends[1])
        self.exchange = exchange
        self.backends = backends
        methods = Methods(backend: backends[0], cluster: cluster)
        alone = Methods(backend: backends[0], cluster: nil)
    }

    private func request(_ body: String = "", query: String = "") -> Request {
        let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/\(query)")
        return Request(head, body: Array(body.utf8), address: "192.0.2.9")
    }

    private func json(_ response: Response) throws -> [String: VarlinkValue] {
        try VarlinkJSON.decode([String: VarlinkValue].self, from: response.body)
    }

    @Test("does not pass off as nothing what the broker alone knows")
    func unavailable() async throws {
        for method in [methods.presence, methods.history] {
            await #expect(throws: ControlError.unavailable("the broker sleeps")) {
                try await method(request(#"{"channel": "far"}"#))
            }
        }
    }

    @Test("acts on all nodes, whatever node a client is connected to")
    func everywhere() async throws {
        #expect(
            try await json(methods.disconnect(request(#"{"channel":"odd"}"#)))
                == ["connections": 4, "silent": .array([])])
        #expect(
            try await json(methods.unsubscribe(request(#"{"channel":"a","user":"ada"}"#)))
                == ["connections": 2, "silent": .array([])])
        #expect(
            try await json(methods.broadcast(request(#"{"all":true,"text":"a"}"#)))
                == ["recipients": 4, "silent": .array([])])
        #expect(
            try await json(methods.publish(request(#"{"channel":"even","user":"ada","text":"a"}"#)))
                == ["recipients": 4, "silent": .array([])])
        let batch = try await json(methods.batch(request(#"{"commands":[{"broadcast":{"all":true,"data":1}}]}"#)))
        #expect(batch == ["replies": .array([.object(["recipients": 4, "silent": .array([])])])])
        #expect(
            backends[1].deeds.withLock { $0 } == [
                "kick 2 1008 closed by an administrator by node-1 for 192.0.2.9",
                "unsubscribe a taken out of the channel by the server by node-1 for 192.0.2.9",
                "broadcast [97] false - - by node-1 for 192.0.2.9",
                "broadcast [97] false even ada by node-1 for 192.0.2.9",
                "broadcast [49] false - - by node-1 for 192.0.2.9",
            ])
    }

    @Test("acts on one node if it is told to")
    func here() async throws {
        let messages = [#"{"all":true,"text":"a","cluster":false}"#]
        for message in messages { #expect(try await json(methods.broadcast(request(message))) == ["recipients": 4]) }
        let body = #"{"all":true,"cluster":false}"#
        #expect(try await json(methods.disconnect(request(body))) == ["connections": 4])
        #expect(backends[1].deeds.withLock { $0 }.isEmpty && exchange.passed == 0)
    }

    @Test("shows all nodes, or one if it is told to")
    func looking() async throws {
        func count(_ response: Response, _ name: String) throws -> Int? {
            guard case .array(let values)? = try json(response)[name] else { return nil }
            return values.count
        }
        #expect(try await count(methods.connections(request()), "connections") == 8)
        #expect(try await count(methods.connections(request(query: "?cluster=true&limit=7")), "connections") == 7)
        #expect(try await count(methods.connections(request(query: "?cluster=false")), "connections") == 4)
        #expect(try await json(methods.channels(request()))["silent"] == .array([]))
        #expect(try await json(methods.channels(request(query: "?cluster=false")))["silent"] == nil)
        #expect(try await count(methods.nodes(), "nodes") == 2)
    }

    @Test(
        "refuses what can't be meant",
        arguments: [
            #"{"channel":"a","text":"a","cluster":false}"#, #"{"channel":"a","text":"a","cluster":true}"#,
            #"{"channel":"a","user":"ada","text":"a","cluster":null}"#,
            #"{"channel":"a","user":"ada","text":"a","cluster":1}"#,
        ])
    func mistakes(_ body: String) async throws {
        await #expect(throws: Problem.self) { try await methods.publish(request(body)) }
        #expect(backends[0].deeds.withLock { $0 }.isEmpty)
        await #expect(throws: Problem.self) { try await methods.connections(request(query: "?cluster=yes")) }
        await #expect(throws: Problem.self) {
            try await methods.broadcast(request(#"{"channels":["a"],"text":"a","cluster":true}"#))
        }
    }

    @Test("says so if there is no broker, or it can't be reached")
    func noBroker() async throws {
        #expect(try await json(alone.disconnect(request(#"{"channel":"odd"}"#))) == ["connections": 2])
        await #expect(throws: ControlError.noBroker) {
            try await alone.disconnect(request(#"{"all":true,"cluster":true}"#))
        }
        await #expect(throws: ControlError.noBroker) { try await alone.nodes() }
        await #expect(throws: ControlError.noBroker) { try await alone.connections(request(query: "?cluster=true")) }
        #expect(Problem(ControlError.noBroker).status == .conflict)
        exchange.setUnreachable()
        await #expect(throws: ControlError.self) { try await methods.disconnect(request(#"{"all":true}"#)) }
        let problem = Problem(ControlError.unavailable("so"))
        #expect(problem.status == .serviceUnavailable && problem.fields.contains { $0 == ("Retry-After", "1") })
    }
}
