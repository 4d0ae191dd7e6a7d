import Base
import CLinux
import Channels
import Glibc
import Operations
import Settings
import Synchronization
import Testing
import WebSocket

@testable import Engine

/// Restarts at a bad moment, or with a configuration that would hit those who stay.
@Suite("A restart in trouble", .blocking)
struct ParkingFaultTests {
    private typealias Restarted = ParkingTests.Restarted

    /// The first open connection of a worker.
    private static func connection(of worker: Worker) throws -> Connection {
        let slot = try #require((0..<worker.slab.highWater).first { worker.slab[$0].phase == .open })
        return worker.slab[slot]
    }

    @Test func `who was silent under another configuration has the whole time to answer a ping`() async throws {
        let hub = try await Restarted(workers: 1)
        let client = try TestClient(port: hub.port).opened()
        // For longer than the next process allows.
        try await Task.sleep(for: .milliseconds(500))
        let parked = await hub.hub.park()
        await hub.stop()
        let worker = ParkingLossTests.adopt(parked, workers: 1) {
            $0.websocket.pingInterval = .milliseconds(100)
            $0.websocket.pongTimeout = .milliseconds(100)
        }[0]
        let connection = try Self.connection(of: worker)
        #expect(worker.now &- connection.lastReceived <= worker.clock.ticks(.milliseconds(100)))
        worker.end(connection, cause: .reset)
        withExtendedLifetime(client) {}
    }

    @Test func `a connection that is lost stays in its channels once others are written down`() async throws {
        let hub = try await Restarted(workers: 1)
        var client: TestClient? = try TestClient(port: hub.port, path: "/chat").opened()
        let payload = [UInt8](repeating: 0x78, count: 100_000)
        try await eventually {
            _ = await hub.hub.publish([.init(channel: "room", opcode: .text, payload: payload)])
            return await hub.hub.statistics()[0].queuedBytes > 0
        }
        let parked = await hub.hub.park()
        await hub.stop()
        let worker = ParkingLossTests.adopt(parked, workers: 1)[0]
        let connection = try Self.connection(of: worker)
        worker.parking = Parking()
        worker.parking?.isDeaf = true
        // It has not read everything, so that its end is a reset.
        #expect(client != nil)
        client = nil
        worker.stopReading(connection, EPOLLOUT.rawValue | EPOLLERR.rawValue)
        try #require(connection.phase == .open && connection.backlog != nil)
        worker.end(connection, cause: .reset)
    }

    @Test func `what the broker has not answered is refused by who has published it`() async throws {
        try await withSharedNodes { server, one, _ in
            let clients = try (0..<6).map { try one.client("user\($0)") }
            for client in clients { #expect(try client.next("system").contains("welcome")) }
            server.stop()
            for (id, count) in [(5, 6), (6, 12)] {
                for client in clients { client.say(#"{"type":"chat","id":\#(id),"data":1}"#) }
                try await eventually { await one.hub.statistics().reduce(0) { $0 + $1.messagesIn } == count }
            }
            let parked = await one.hub.park()
            #expect(parked.closedCount == 0 && parked.sockets.count == 6)
            for client in clients {
                for id in [5, 6] {
                    let error = try client.next("error")
                    #expect(error.member("id") == "\(id)" && error.contains("the server is restarting"))
                }
            }
            server.go()
            for socket in parked.sockets { close(socket.descriptor) }
        }
    }

    @Test func `parking waits for an answer that comes in time`() async throws {
        let isOver = Atomic(false)
        let hub = try await Restarted(workers: 2) { configuration in
            configuration.verifyToken = { token in
                while token == "slow", !isOver.load(ordering: .relaxed) { try? await Task.sleep(for: .milliseconds(5)) }
                return .success(Identity(user: "alice"))
            }
        }
        defer { isOver.store(true, ordering: .relaxed) }
        let alice = try TestClient(port: hub.port, path: "/chat?token=alice").opened()
        alice.say(#"{"type":"refresh","token":"slow","id":1}"#)
        try await eventually { await hub.hub.statistics().reduce(0) { $0 + $1.messagesIn } == 1 }
        let before = hub.hub
        let parking = Task { await before.park(patience: .seconds(240)) }
        try await eventually {
            await before.publish([.init(channel: "lobby", opcode: .text, payload: [0x31])])[0].refusal != nil
        }
        isOver.store(true, ordering: .relaxed)
        let parked = await parking.value
        #expect(parked.closedCount == 0 && parked.sockets.count == 1)
        #expect(try alice.next("ack").member("id") == "1")
        for socket in parked.sockets { close(socket.descriptor) }
        await hub.stop()
    }

    @Test func `a connection that its peer has ended behind its last messages ends when they are processed`() throws {
        let (stream, events) = AsyncStream.makeStream(of: EngineEvent.self, bufferingPolicy: .bufferingNewest(1))
        defer { withExtendedLifetime(stream) {} }
        let worker = Hub.begin(ParkingTests.configuration(workers: 1), events, adopting: nil).workers[0]
        let pair = try SocketPair()
        defer { withExtendedLifetime(pair) {} }
        var link = SecureLink()
        link.stage = .established
        link.peerHasClosed = true
        let open = ParkedConnection.Open(
            id: ConnectionID(rawValue: 7), endpoint: 0, windowBits: 0, isPinged: false, lastReceived: worker.now,
            connectedAt: 0, messagesIn: 0, messagesOut: 0, bytesIn: 1, bytesOut: 1, dropped: 0,
            messageBucket: RateBucket(holding: 1, now: worker.now), channel: 0)
        let parked = ParkedConnection(
            cookie: 0, address: .loopback, port: 1, state: .open(open), secure: Boxed(link))
        let socket = ParkedSocket(descriptor: dup(pair.near), isTorn: true)
        #expect(worker.adopt(socket, parked, open, endpoint: 0, ["lobby"]))
        let connection = try Self.connection(of: worker)
        worker.goOn(budget: 1 << 20)
        #expect(connection.phase == .dead)
    }

    @Test func `a generation behind which there are not enough is none`() throws {
        for (generation, isGood) in [(UInt32.max - 1, false), (1 << 31, false), (1 << 31 - 1, true)] {
            let head = ParkedHead(
                generation: generation, isShared: false, times: ParkingTimes(begunAt: 0, settled: 0, written: 0),
                closedCount: 0, endpoints: [])
            var state = StateWriter()
            head.write(to: &state)
            let read = try? state.bytes.reading { (state) throws(StateError) in try ParkedHead(from: &state) }
            #expect((read != nil) == isGood, "\(generation)")
        }
    }
}
