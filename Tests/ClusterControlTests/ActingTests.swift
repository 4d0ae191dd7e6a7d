import Base
import ClusterControl
import Control
import Operations
import Synchronization
import Testing
import Varlink

@Suite("What changes something on all nodes")
struct ActingTests {
    private let exchange = Exchange()
    private let caller = Caller.process(PeerCredentials(processID: 4711, userID: 1, groupID: 1), nil)
    private let reason: CloseReason

    init() throws { reason = try CloseReason(code: 1008, text: "so") }

    @Test("is done on each, which knows who asks, and counted together")
    func kick() async throws {
        let backends = (1...3).map { MemoryBackend(count: 10 * $0, worker: $0) }
        let clusters = backends.enumerated().map { exchange.add($0.offset + 1, $0.element) }
        let reply = try await clusters[1].kick(ConnectionFilter(channel: "odd"), reason: reason, by: caller)
        #expect(reply == Kick.Reply(connections: 30, silent: []))
        #expect(backends[0].deeds.withLock { $0 } == ["kick 5 1008 so by node-2 for 4711"])
        #expect(backends[1].deeds.withLock { $0 } == ["kick 10 1008 so by 4711"])
        #expect(backends[2].deeds.withLock { $0 } == ["kick 15 1008 so by node-2 for 4711"])
    }

    @Test("names the nodes that do not answer in time")
    func silence() async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 2))
        exchange.add(2, MemoryBackend(count: 2, worker: 2))
        exchange.addMute(3)
        let reply = try await cluster.kick(ConnectionFilter(all: true), reason: reason, by: caller)
        #expect(reply == Kick.Reply(connections: 4, silent: ["node-3"]))
        #expect(cluster.counts.silences == 1)
    }

    @Test("is done nowhere if it is not known who is there, or if it isn't clear what")
    func refusals() async throws {
        let backend = MemoryBackend(count: 2)
        let cluster = exchange.add(1, backend)
        exchange.add(2, MemoryBackend(count: 2))
        await #expect(throws: ControlError.self) {
            try await cluster.kick(ConnectionFilter(ip: "here"), reason: reason, by: caller)
        }
        await #expect(throws: ControlError.messageTooLarge(byteCount: 101, limit: 100)) {
            try await cluster.broadcast(
                BroadcastMessage(text: String(repeating: "x", count: 101)), channel: nil, user: nil, by: caller)
        }
        // In Base64 it is more than a message may be.
        let large = BroadcastMessage(data: [UInt8](repeating: 0, count: 4 << 20))
        await #expect(throws: ControlError.self) {
            try await cluster.broadcast(large, channel: nil, user: nil, by: caller)
        }
        exchange.setUnreachable()
        let error = ControlError.unavailable(
            "the broker does not say which nodes there are, so nothing was done on any of them")
        await #expect(throws: error) {
            try await cluster.kick(ConnectionFilter(all: true), reason: reason, by: caller)
        }
        #expect(backend.deeds.withLock { $0 }.isEmpty && exchange.passed == 0)
    }

    @Test("sends text, plain text and bytes to all or to a user, and leaves channels to the broker")
    func broadcast() async throws {
        let backends = (1...2).map { MemoryBackend(count: 2, worker: $0) }
        let clusters = backends.enumerated().map { exchange.add($0.offset + 1, $0.element) }
        func broadcast(_ message: BroadcastMessage, _ channel: String?, _ user: String?) async throws -> PublishResult {
            try await clusters[0].broadcast(message, channel: channel, user: user, by: .client(address: "192.0.2.9"))
        }
        for message in [
            BroadcastMessage(text: "ü"), BroadcastMessage(plainText: "1"), BroadcastMessage(data: [0, 255]),
        ] {
            #expect(try await broadcast(message, nil, nil) == PublishResult(recipients: 4, silent: []))
        }
        #expect(try await broadcast(BroadcastMessage(text: "a"), "odd", "ada").silent == [])
        #expect(try await broadcast(BroadcastMessage(text: "a"), "odd", nil) == PublishResult(recipients: 1))
        #expect(
            backends[1].deeds.withLock { $0 } == [
                "broadcast [195, 188] false - - by node-1 for 192.0.2.9",
                "broadcast [49] false - - by node-1 for 192.0.2.9",
                "broadcast [0, 255] true - - by node-1 for 192.0.2.9",
                "broadcast [97] false odd ada by node-1 for 192.0.2.9",
            ])
    }

    @Test("takes connections out of a channel on all nodes")
    func unsubscribe() async throws {
        let backends = (1...2).map { MemoryBackend(count: 2, worker: $0) }
        let clusters = backends.enumerated().map { exchange.add($0.offset + 1, $0.element) }
        let reply = try await clusters[0].unsubscribe(
            ConnectionFilter(user: "ada"), channel: "a", reason: "so", by: caller)
        #expect(reply == Kick.Reply(connections: 2, silent: []))
        #expect(backends[1].deeds.withLock { $0 } == ["unsubscribe a so by node-1 for 4711"])
    }
}
