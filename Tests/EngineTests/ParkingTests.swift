import Base
import Glibc
import Settings
import Testing
import WebSocket

@testable import Engine

/// Two hubs in one process: what the first has parked, the second adopts, with the same sockets.
@Suite("Parking and adopting", .blocking)
struct ParkingTests {
    static func configuration(workers: Int, _ change: (inout EngineConfiguration) -> Void = { _ in })
        -> EngineConfiguration
    {
        var settings = Settings()
        settings.endpoints = [
            .init(path: "/ws", protocol: .relay, channel: "lobby"),
            .init(path: "/chat", protocol: .json, channel: "room"),
        ]
        var room = ChannelSettings()
        room.presence = true
        room.joinLeave = true
        room.keepHistory(messageCount: 50, age: 600_000, byteCount: 1_000_000)
        var rooms = Settings.Channel(pattern: "room*")
        rooms.settings = room
        settings.channels = [rooms]
        settings.websocket.pingInterval = .zero
        settings.server.handshakeTimeout = .seconds(120)
        var configuration = EngineConfiguration(settings)
        configuration.workerCount = workers
        configuration.maximumConnections = 1_000
        configuration.server.maxConnectionsPerIP = 0
        change(&configuration)
        return configuration
    }

    /// A hub that has been parked and adopted, each time with another number of workers.
    final class Restarted {
        private(set) var hub: Hub
        private(set) var port: UInt16 = 0

        init(workers: Int, _ change: (inout EngineConfiguration) -> Void = { _ in }) async throws {
            hub = Hub(ParkingTests.configuration(workers: workers, change))
            try await listen()
        }

        private func listen() async throws {
            let listener = try ListeningSocket(host: .loopback, port: 0)
            port = UInt16(listener.address.split(separator: ":").last ?? "") ?? 0
            await hub.listen([listener])
        }

        /// - Parameter lost: the place of a socket that gets lost on the way.
        @discardableResult
        func restart(
            workers: Int, losing lost: Int? = nil, _ change: (inout EngineConfiguration) -> Void = { _ in }
        ) async throws -> Adopted? {
            var parked = await hub.park()
            await hub.stop()
            if let lost { parked.sockets.remove(at: lost).close() }
            let bytes = parked.pieces.flatMap { $0 }
            hub = bytes.withUnsafeBytes { bytes in
                Hub(
                    ParkingTests.configuration(workers: workers, change),
                    adopting: ParkedState(bytes: bytes, sockets: parked.sockets))
            }
            try await listen()
            return hub.adopted
        }

        func stop() async { await hub.stop() }
    }

    @Test(arguments: [(1, 1), (2, 1), (1, 3), (3, 2)])
    func `relay clients go on talking`(before: Int, after: Int) async throws {
        let hub = try await Restarted(workers: before)
        let clients = try (0..<7).map { _ in try TestClient(port: hub.port).opened() }
        clients[0].say("one")
        for client in clients { #expect(try client.text() == "one") }
        let adopted = try #require(try await hub.restart(workers: after))
        #expect(adopted.openCount == 7 && adopted.closedCount == 0 && adopted.problem == nil)
        clients[3].say("two")
        for client in clients { #expect(try client.text() == "two") }
        let newcomer = try TestClient(port: hub.port).opened()
        newcomer.say("three")
        for client in clients + [newcomer] { #expect(try client.text() == "three") }
        await hub.stop()
    }

    @Test func `a message that is half sent is completed after the restart`() async throws {
        let hub = try await Restarted(workers: 2)
        let sender = try TestClient(port: hub.port).opened()
        let listener = try TestClient(port: hub.port).opened()
        sender.send([0x01, 0x83, 0, 0, 0, 0] + Array("one".utf8) + [0x80, 0x84, 0, 0, 0, 0, 0x20])
        try await eventually { await hub.hub.statistics().reduce(0) { $0 + $1.bytesIn } > 250 }
        try await Task.sleep(for: .milliseconds(20))
        try await hub.restart(workers: 3)
        sender.send(Array("two".utf8))
        #expect(try listener.text() == "one two")
        await hub.stop()
    }

    @Test func `members stay members, and numbers go on`() async throws {
        let hub = try await Restarted(workers: 2)
        let clients = try (0..<3).map { _ in try TestClient(port: hub.port, path: "/chat").opened() }
        for client in clients { #expect(try client.text().contains("welcome")) }
        clients[0].say(#"{"type":"chat","data":"one","id":1}"#)
        for client in clients {
            let message = try client.frame { String(decoding: $0.payload, as: UTF8.self).contains("\"chat\"") }
            #expect(String(decoding: message.payload, as: UTF8.self).contains(#""seq":1"#))
        }
        for workers in [1, 4] {
            let adopted = try #require(try await hub.restart(workers: workers))
            #expect(adopted.openCount == 3 && adopted.closedCount == 0)
        }
        clients[1].say(#"{"type":"chat","data":"two","id":1}"#)
        for client in clients {
            let text = try client.text()
            guard !text.contains(#""type":"ack""#) else { continue }
            #expect(text.contains(#""seq":2"#), "no join or leave comes before it")
        }
        clients[2].say(#"{"type":"history","id":2}"#)
        let history = try clients[2].frame { String(decoding: $0.payload, as: UTF8.self).contains("\"id\":2") }
        #expect(String(decoding: history.payload, as: UTF8.self).contains("one"))
        clients[2].say(#"{"type":"presence","id":3}"#)
        let presence = try clients[2].frame { String(decoding: $0.payload, as: UTF8.self).contains("\"id\":3") }
        #expect(String(decoding: presence.payload, as: UTF8.self).components(of: "guest-") == 3)
        await hub.stop()
    }

    @Test func `an endpoint that is gone closes its clients with 1012`() async throws {
        let hub = try await Restarted(workers: 2)
        let stays = try TestClient(port: hub.port).opened()
        let goes = try TestClient(port: hub.port, path: "/chat").opened()
        _ = try goes.text()
        let adopted = try #require(try await hub.restart(workers: 2) { $0.endpoints.removeLast() })
        #expect(adopted.openCount == 1 && adopted.closedCount == 1)
        #expect(adopted.refused.map(\.reason) == ["the endpoint /chat is not served any more"])
        await adopted.refused.close(over: .zero)
        #expect(try goes.frame().payload.prefix(2) == [0x03, 0xF4])
        #expect(goes.isAtEnd())
        stays.say("here")
        #expect(try stays.text() == "here")
        await hub.stop()
    }

    @Test func `what can't be read closes all with 1012`() async throws {
        let hub = try await Restarted(workers: 2)
        let clients = try (0..<3).map { _ in try TestClient(port: hub.port).opened() }
        let parked = await hub.hub.park()
        await hub.stop()
        let next = Hub(
            Self.configuration(workers: 2),
            adopting: ParkedState(bytes: UnsafeRawBufferPointer(start: nil, count: 0), sockets: parked.sockets))
        #expect(next.adopted?.problem != nil && next.adopted?.closedCount == 3)
        await next.adopted?.refused.close(over: .milliseconds(30))
        for client in clients {
            #expect(try client.frame().payload.prefix(2) == [0x03, 0xF4])
            #expect(client.isAtEnd())
        }
        await next.stop()
    }

    /// A parked hub with some of everything.
    static func rich() async throws -> (bytes: [UInt8], sockets: [ParkedSocket], clients: [TestClient]) {
        let hub = try await Restarted(workers: 2)
        var clients = try (0..<3).map { _ in try TestClient(port: hub.port, path: "/chat").opened() }
        clients += try (0..<2).map { _ in
            try TestClient(port: hub.port, fields: "Sec-WebSocket-Extensions: permessage-deflate\r\n").opened()
        }
        clients[0].say(#"{"type":"join","channel":"room:2","id":1}"#)
        clients[0].say(#"{"type":"chat","channel":"room:2","data":"one","id":2}"#)
        clients[1].say(#"{"type":"chat","data":{"a":[1,2]},"id":1}"#)
        clients[2].send([0x01, 0x83, 0, 0, 0, 0] + Array("one".utf8))
        for number in UInt8(0)..<3 { clients[3].send(2, [UInt8](repeating: number, count: 5_000)) }
        try await eventually { await hub.hub.statistics().reduce(0) { $0 + $1.messagesIn } == 6 }
        try await Task.sleep(for: .milliseconds(50))
        let parked = await hub.hub.park()
        await hub.stop()
        return (parked.pieces.flatMap { $0 }, parked.sockets, clients)
    }

    @Test func `nothing of a damaged file is believed`() async throws {
        let (bytes, sockets, clients) = try await Self.rich()
        defer { withExtendedLifetime(clients) { for socket in sockets { close(socket.descriptor) } } }
        var random = Seeded(seed: 5)
        for _ in 0..<2_000 {
            var damaged = bytes
            if Bool.random(using: &random) {
                damaged.removeLast(Int.random(in: 1...damaged.count, using: &random))
            } else {
                let place = Int.random(in: damaged.indices, using: &random)
                damaged[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
            }
            #expect(!Self.isWhole(damaged), "seed 5")
        }
        #expect(Self.isWhole(bytes))
    }

    private static func isWhole(_ file: [UInt8]) -> Bool {
        file.withUnsafeBytes { (try? ParkingFile($0)) != nil }
    }

    /// The checksums of these files are right, as if a faulty version had written them.
    @Test(arguments: UInt64(1)...4)
    func `never traps on a wrong state`(seed: UInt64) async throws {
        let (bytes, sockets, clients) = try await Self.rich()
        defer { withExtendedLifetime(clients) { for socket in sockets { close(socket.descriptor) } } }
        let sections = try bytes.withUnsafeBytes { bytes in try ParkingFile(bytes).sections.map { Array($0) } }
        var random = Seeded(seed: seed)
        var accepted = 0
        for _ in 0..<20 {
            var damaged = sections
            let place = Int.random(in: damaged.indices, using: &random)
            let part = damaged[place]
            part.damaged(part.count < 4_000 ? 3 : 10, seed: random.next()) { bytes in
                guard bytes.count > part.count / 2 || Int.random(in: 0..<20, using: &random) == 0 else { return }
                damaged[place] = bytes
                let file = ParkingFile.front(of: damaged.map { [$0] }) + damaged.flatMap { $0 }
                if Self.isReadable(file) { accepted += 1 }
            }
        }
        #expect(accepted > 0)
    }

    /// Reads a file into workers that never begin, as if no socket had come with it.
    private static func isReadable(_ file: [UInt8]) -> Bool {
        let (stream, events) = AsyncStream.makeStream(of: EngineEvent.self, bufferingPolicy: .bufferingNewest(1))
        defer { withExtendedLifetime(stream) {} }
        return file.withUnsafeBytes { bytes in
            Hub.begin(configuration(workers: 2), events, adopting: ParkedState(bytes: bytes, sockets: []))
                .adopted?.problem == nil
        }
    }

    // MARK: The recorded state

    private static let recorded =
        #filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/parked-1.state"

    /// A state of the first version of the format, which every later version has to read. `WSD_RECORD=1` writes it anew.
    @Test func `reads the state that version 1 has written`() async throws {
        if getenv("WSD_RECORD") != nil {
            let (bytes, sockets, clients) = try await Self.rich()
            for socket in sockets { close(socket.descriptor) }
            withExtendedLifetime(clients) {}
            let file = try #require(fopen(Self.recorded, "w"))
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
        let file = try #require(fopen(Self.recorded, "r"))
        var bytes = [UInt8](repeating: 0, count: 16 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        fclose(file)
        let (stream, events) = AsyncStream.makeStream(of: EngineEvent.self)
        let beginning = bytes.withUnsafeBytes { bytes in
            Hub.begin(
                Self.configuration(workers: 3), events, adopting: ParkedState(bytes: bytes, sockets: []))
        }
        withExtendedLifetime(stream) {}
        #expect(beginning.adopted?.problem == nil)
        // Nobody of then is here any more; what their channels know is.
        #expect(beginning.adopted?.closedCount == 5)
        let rooms = beginning.workers.flatMap { worker in
            worker.channels.indices.compactMap { worker.channels.find($0)?.home?.room }
        }
        #expect(rooms.map(\.seq).sorted() == [1, 1])
        #expect(rooms.map(\.memberCount) == [0, 0])
    }
}

extension String {
    /// The number of times that another text occurs.
    fileprivate func components(of other: String) -> Int {
        var count = 0
        var rest = utf8[...]
        while rest.count >= other.utf8.count {
            if rest.starts(with: other.utf8) { count += 1 }
            rest = rest.dropFirst()
        }
        return count
    }
}
