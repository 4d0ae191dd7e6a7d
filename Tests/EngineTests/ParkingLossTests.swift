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

/// What gets lost, stays behind or comes in the way while a hub is parked and adopted.
@Suite("Nothing is left behind by a restart", .blocking)
struct ParkingLossTests {
    private typealias Restarted = ParkingTests.Restarted

    private static func text(_ frame: TestClient.Frame) -> String { String(decoding: frame.payload, as: UTF8.self) }

    /// The next text that has a part.
    private static func text(of client: TestClient, with part: String) throws -> String {
        text(try client.frame { text($0).contains(part) })
    }

    @Test(arguments: 0..<8)
    func `what was published is heard once, until the hub takes nothing more`(round: Int) async throws {
        let hub = try await Restarted(workers: 2)
        let clients = try (0..<6).map { _ in try TestClient(port: hub.port).opened() }
        let before = hub.hub
        let publishing = (0..<3).map { publisher in
            Task {
                var accepted: [String] = []
                for number in 0... {
                    let text = "\(publisher).\(number)"
                    let message = Hub.Message(channel: "lobby", opcode: .text, payload: Array(text.utf8))
                    let published = await before.publish([message])[0]
                    guard published.refusal == nil else { return (accepted, published.refusal) }
                    accepted.append(text)
                }
                return (accepted, nil)
            }
        }
        try await Task.sleep(for: .milliseconds(10 + 3 * round))
        let adopted = try #require(try await hub.restart(workers: 2))
        #expect(adopted.openCount == 6)
        var accepted: [[String]] = []
        for task in publishing {
            let (texts, refusal) = await task.value
            #expect(refusal == "the server is restarting")
            accepted.append(texts)
        }
        await #expect(throws: HubParked.self) {
            try await before.kick(ConnectionSelection(), code: .normal, reason: "-")
        }
        clients[0].say("end")
        for client in clients {
            var heard: [String] = []
            while heard.last != "end" { heard.append(try client.text()) }
            for (publisher, texts) in accepted.enumerated() {
                #expect(heard.filter { $0.hasPrefix("\(publisher).") } == texts)
            }
            #expect(heard.count == accepted.reduce(1) { $0 + $1.count })
        }
        await hub.stop()
    }

    @Test func `who waits for an answer that does not come leaves the channel`() async throws {
        let isOver = Atomic(false)
        let slow: @Sendable (inout EngineConfiguration) -> Void = { configuration in
            configuration.verifyToken = { token in
                while token == "slow", !isOver.load(ordering: .relaxed) { try? await Task.sleep(for: .milliseconds(5)) }
                return .success(Identity(user: token == "slow" ? "alice" : token))
            }
        }
        defer { isOver.store(true, ordering: .relaxed) }
        let hub = try await Restarted(workers: 2, slow)
        let alice = try TestClient(port: hub.port, path: "/chat?token=alice").opened()
        let others = try (0..<3).map { try TestClient(port: hub.port, path: "/chat?token=bob\($0)").opened() }
        for client in [alice] + others { _ = try Self.text(of: client, with: "welcome") }
        alice.say(#"{"type":"refresh","token":"slow","id":1}"#)
        try await eventually { await hub.hub.statistics().reduce(0) { $0 + $1.messagesIn } == 1 }
        let adopted = try #require(try await hub.restart(workers: 3, slow))
        #expect((adopted.openCount, adopted.closedCount) == (3, 1))
        #expect(try alice.frame { $0.opcode == 8 }.payload.prefix(2) == [0x03, 0xF4])
        #expect(alice.isAtEnd())
        // Alice may be back in a moment, which is over then.
        for client in others { #expect(try Self.text(of: client, with: #""leave""#).contains("alice")) }
        others[0].say(#"{"type":"presence","id":2}"#)
        #expect(try !Self.text(of: others[0], with: #""id":2"#).contains("alice"))
        await hub.stop()
    }

    @Test func `a socket that was lost is a leave for all who stay`() async throws {
        let atOnce: (inout EngineConfiguration) -> Void = { configuration in
            var settings = Settings()
            var room = ChannelSettings()
            room.presence = true
            room.joinLeave = true
            room.leaveDelay = .zero
            var rooms = Settings.Channel(pattern: "room*")
            rooms.settings = room
            settings.channels = [rooms]
            configuration.channelRules = ChannelRules(channels: settings.channels)
        }
        let hub = try await Restarted(workers: 1, atOnce)
        let clients = try (0..<6).map { _ in try TestClient(port: hub.port, path: "/chat").opened() }
        let names = try clients.map { client in
            let welcome = try Self.text(of: client, with: "welcome")
            return "guest-" + (welcome.split(separator: "guest-").last?.prefix { $0 != "\"" } ?? "")
        }
        let adopted = try #require(try await hub.restart(workers: 3, losing: 0, atOnce))
        #expect(adopted.openCount == 5 && adopted.closedCount == 1)
        for client in clients[1...] { #expect(try Self.text(of: client, with: #""leave""#).contains(names[0])) }
        await hub.stop()
    }

    /// The workers that would go on with what a hub has parked; they never begin.
    static func adopt(
        _ parked: ParkedHub, workers: Int, _ change: (inout EngineConfiguration) -> Void = { _ in }
    ) -> [Worker] {
        let (stream, events) = AsyncStream.makeStream(of: EngineEvent.self, bufferingPolicy: .bufferingNewest(1))
        defer { withExtendedLifetime(stream) {} }
        let bytes = parked.pieces.flatMap { $0 }
        return bytes.withUnsafeBytes { bytes in
            let state = ParkedState(bytes: bytes, sockets: parked.sockets)
            return Hub.begin(ParkingTests.configuration(workers: workers, change), events, adopting: state).workers
        }
    }

    @Test func `members are not counted again`() async throws {
        let hub = try await Restarted(workers: 1)
        let clients = try (0..<6).map { _ in try TestClient(port: hub.port, path: "/chat").opened() }
        for client in clients { _ = try Self.text(of: client, with: "welcome") }
        let parked = await hub.hub.park()
        await hub.stop()
        let workers = Self.adopt(parked, workers: 3)
        #expect(workers.allSatisfy { !$0.handle.mailbox.hasMessages })
        let members = workers.compactMap { worker in
            worker.channels.index(of: "room").flatMap { worker.channels[$0].home?.room?.memberCount }
        }
        #expect(members == [6])
        // Nobody else frees what they hold.
        for worker in workers {
            for slot in 0..<worker.slab.highWater where worker.slab[slot].phase == .open {
                worker.end(worker.slab[slot], cause: .reset)
            }
        }
    }

    @Test func `the channel that has been quiet longest loses its history first`() async throws {
        let hub = try await Restarted(workers: 1)
        // Their order is not that in which they were made.
        for channel in ["room 1", "room 2", "room 1"] {
            let payload = [UInt8](repeating: 0x78, count: 30_000)
            _ = await hub.hub.publish([.init(channel: channel, opcode: .text, payload: payload)])
            try await Task.sleep(for: .milliseconds(5))
        }
        let parked = await hub.hub.park()
        await hub.stop()
        let workers = Self.adopt(parked, workers: 1) { $0.limits.historyByteCount = 85_000 }
        let counts = ["room 1", "room 2"].map { channel in
            workers[0].channels.index(of: channel).flatMap { workers[0].channels[$0].home?.room?.history.count } ?? 0
        }
        #expect(counts == [2, 0])
    }
}
