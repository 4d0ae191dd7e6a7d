import Base
import Operations
import Settings
import Testing
import WebSocket

@testable import Engine

@Suite(.blocking) struct HubTests {
    @Test func aMessageReachesEveryoneInItsChannelAndNobodyElse() async throws {
        try await withHub { _, port in
            let clients = try (0..<6).map { _ in try TestClient(port: port).opened() }
            let stranger = try TestClient(port: port, path: "/other").opened()
            clients[2].send(1, Array("hello".utf8))
            for client in clients { #expect(try client.frame() == .init(opcode: 1, payload: Array("hello".utf8))) }
            stranger.send(2, [1])
            #expect(try stranger.frame() == .init(opcode: 2, payload: [1]))
        }
    }

    @Test func everyoneSeesOneOrderOverAllWorkers() async throws {
        try await withHub { _, port in
            let clients = try (0..<9).map { _ in try TestClient(port: port).opened() }
            let each = 50
            for number in 0..<each {
                for (index, client) in clients.enumerated() { client.send(2, [UInt8(index), UInt8(number)]) }
            }
            var orders: [[[UInt8]]] = []
            for client in clients {
                var order: [[UInt8]] = []
                for _ in 0..<(each * clients.count) { order.append(try client.frame().payload) }
                orders.append(order)
            }
            for order in orders { #expect(order == orders[0]) }
            for index in clients.indices {
                let own = orders[0].filter { $0[0] == UInt8(index) }.map { Int($0[1]) }
                #expect(own == Array(0..<each))
            }
        }
    }

    /// Whose handshake was answered before a message was sent hears it, on whichever worker.
    @Test func aNewcomerMissesNothing() async throws {
        try await withHub({ $0.workerCount = 2 }) { hub, port in
            for number in 0..<300 {
                let publisher = try TestClient(port: port).opened()
                let newcomer = try TestClient(port: port).opened()
                let message = TestClient.Frame(opcode: 1, payload: [UInt8](String(number).utf8))
                publisher.send(1, message.payload)
                #expect(try publisher.frame() == message)
                #expect(try newcomer.frame() == message)
                publisher.shutDown()
                newcomer.shutDown()
                while hub.connectionCount > 0 { await Task.yield() }
            }
        }
    }

    @Test func connectionsSpreadEvenlyOverWorkers() async throws {
        try await withHub { hub, port in
            let clients = try (0..<30).map { _ in try TestClient(port: port).opened() }
            let counts = await hub.statistics().map(\.connections)
            #expect(counts == [10, 10, 10])
            withExtendedLifetime(clients) {}
        }
    }

    /// Three workers and several channels: for most clients the channel's home is another worker.
    @Test(arguments: 0..<6)
    func whoSendsAndClosesSeesItsMessageBeforeTheClose(_ attempt: Int) async throws {
        try await withHub({ $0.endpoints = [.init(path: "/ws", protocol: .relay, channel: "c\(attempt)")] }) {
            _, port in
            let clients = try (0..<3).map { _ in try TestClient(port: port).opened() }
            for client in clients {
                client.send(1, [65])
                client.send(8, [0x03, 0xE8])
            }
            for client in clients {
                var frames: [TestClient.Frame] = []
                repeat { frames.append(try client.frame()) } while frames.last?.opcode != 8
                #expect(frames.dropLast().count >= 1)
                #expect(frames.dropLast().allSatisfy { $0 == .init(opcode: 1, payload: [65]) })
                #expect(frames.last == .init(opcode: 8, payload: [0x03, 0xE8]))
                #expect(client.isAtEnd())
            }
        }
    }

    @Test(arguments: 0..<6)
    func whoSendsAndBreaksTheProtocolSeesItsMessageBeforeTheClose(_ attempt: Int) async throws {
        try await withHub({ $0.endpoints = [.init(path: "/ws", protocol: .relay, channel: "c\(attempt)")] }) {
            _, port in
            for _ in 0..<3 {
                let client = try TestClient(port: port).opened()
                client.send(1, [65])
                client.send(3, [])
                #expect(try client.frame() == .init(opcode: 1, payload: [65]))
                let close = try client.frame()
                #expect(close.opcode == 8)
                #expect(Array(close.payload.prefix(2)) == [0x03, 0xEA])
                #expect(client.isAtEnd())
            }
        }
    }

    @Test func oneConnectionTooManyIsRefusedAndALaterOneIsNot() async throws {
        try await withHub({ $0.maximumConnections = 2 }) { hub, port in
            var clients = try (0..<2).map { _ in try TestClient(port: port).opened() }
            #expect(try TestClient(port: port).status().hasPrefix("HTTP/1.1 503"))
            clients[0].send(8, [])
            #expect(try clients[0].frame() == .init(opcode: 8, payload: []))
            #expect(clients[0].isAtEnd())
            clients.removeFirst()
            while hub.connectionCount > 1 { await Task.yield() }
            clients.append(try TestClient(port: port).opened())
        }
    }

    @Test func theLimitPerAddressCountsTheClientBehindTheProxy() async throws {
        try await withHub({
            $0.server.maxConnectionsPerIP = 1
            $0.server.trustedProxies = ["127.0.0.1", "10.0.0.1"].compactMap { IPNetwork($0) }
        }) { hub, port in
            let first = try TestClient(port: port, fields: "X-Forwarded-For: 192.0.2.1\r\n").opened()
            let refused = try TestClient(port: port, fields: "X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.0.0.1\r\n")
            #expect(try refused.status().hasPrefix("HTTP/1.1 429"))
            let second = try TestClient(port: port, fields: "X-Forwarded-For: 192.0.2.2\r\n").opened()
            let addresses = await hub.connections(ConnectionSelection(), after: nil, limit: 10).connections.map(
                \.address)
            #expect(Set(addresses) == [IPAddress("192.0.2.1")!, IPAddress("192.0.2.2")!])
            withExtendedLifetime((first, second)) {}
        }
    }

    @Test func aBroadcastSaysHowManyItReached() async throws {
        try await withHub { hub, port in
            let clients = try (0..<5).map { _ in try TestClient(port: port).opened() }
            let other = try TestClient(port: port, path: "/other").opened()
            #expect(try await hub.broadcast(.text, Array("all".utf8), to: ConnectionSelection()) == 6)
            let reached = await hub.publish([
                Hub.Message(channel: "lobby", opcode: .text, payload: Array("lobby".utf8)),
                Hub.Message(channel: "nobody", opcode: .binary, payload: [1]),
            ])
            #expect(reached.map(\.connections) == [5, 0])
            for client in clients {
                #expect(try client.frame().payload == Array("all".utf8))
                #expect(try client.frame().payload == Array("lobby".utf8))
            }
            #expect(try other.frame().payload == Array("all".utf8))
        }
    }

    @Test func aKickReachesTheSelectedOnly() async throws {
        try await withHub { hub, port in
            let clients = try (0..<4).map { _ in try TestClient(port: port).opened() }
            let other = try TestClient(port: port, path: "/other").opened()
            let count = try await hub.kick(
                ConnectionSelection(channel: "lobby"), code: CloseCode(rawValue: 4_001), reason: "enough")
            #expect(count == 4)
            for client in clients {
                #expect(try client.frame() == .init(opcode: 8, payload: [0x0F, 0xA1] + Array("enough".utf8)))
                client.send(8, [0x0F, 0xA1])
                #expect(client.isAtEnd())
            }
            other.send(2, [9])
            #expect(try other.frame().payload == [9])
        }
    }

    @Test func aListComesInPagesThatMissNobody() async throws {
        try await withHub { hub, port in
            let clients = try (0..<25).map { _ in try TestClient(port: port).opened() }
            var ids: [ConnectionID] = []
            var cursor: Hub.Cursor?
            repeat {
                let page = await hub.connections(ConnectionSelection(), after: cursor, limit: 4)
                #expect(page.connections.count <= 4)
                ids += page.connections.map(\.id)
                cursor = page.next
            } while cursor != nil
            #expect(ids.count == 25)
            #expect(Set(ids).count == 25)
            let one = await hub.connections(ConnectionSelection(ids: [ids[7]]), after: nil, limit: 1).connections
            #expect(one.map(\.id) == [ids[7]])
            withExtendedLifetime(clients) {}
        }
    }

    @Test func whoReadsNothingIsClosedAndTheRestLoseNothing() async throws {
        try await withHub({
            $0.queue.limitByteCount = 200_000
            $0.websocket.maxMessageByteCount = 100_000
            $0.websocket.closeTimeout = .seconds(60)
        }) { hub, port in
            let sleeper = try TestClient(port: port).opened()
            let reader = try TestClient(port: port).opened()
            let payload = [UInt8](repeating: 7, count: 60_000)
            var sent = 0
            while await hub.statistics().reduce(0, { $0 + $1.closed[Int(CloseCause.slowConsumer.rawValue)] }) == 0 {
                #expect(sent < 2_000, "the sleeper should have been closed long ago")
                guard sent < 2_000 else { break }
                reader.send(2, payload)
                #expect(try reader.frame().payload == payload)
                sent += 1
                let queued = await hub.statistics().reduce(0) { $0 + $1.queuedBytes }
                #expect(queued <= 200_000)
                if await hub.connections(ConnectionSelection(), after: nil, limit: 9).connections.contains(
                    where: { $0.state == .closing })
                {
                    break
                }
            }
            var last = try sleeper.frame()
            while last.opcode == 2 {
                #expect(last.payload == payload)
                last = try sleeper.frame()
            }
            #expect(last.opcode == 8)
            #expect(Array(last.payload.prefix(2)) == [0x03, 0xF0])
            #expect(String(decoding: last.payload.dropFirst(2), as: UTF8.self).hasPrefix("slow consumer"))
        }
    }

    @Test func silenceIsPingedAndAMissingPongEndsIt() async throws {
        try await withHub({
            $0.websocket.pingInterval = .milliseconds(100)
            // Longer than a busy machine keeps a thread waiting.
            $0.websocket.pongTimeout = .seconds(10)
        }) { _, port in
            let client = try TestClient(port: port).opened()
            for _ in 0..<3 {
                #expect(try client.frame() == .init(opcode: 9, payload: []))
                client.send(10, [])
            }
            #expect(try client.frame() == .init(opcode: 9, payload: []))
            let close = try client.frame()
            #expect(close.opcode == 8)
            #expect(Array(close.payload.prefix(2)) == [0x0B, 0xC0])
        }
    }

    @Test func aDrainClosesEveryoneWith1001AndReturns() async throws {
        try await withHub { hub, port in
            // Slots whose connections are gone don't count.
            for client in try (0..<9).map({ _ in try TestClient(port: port).opened() }) { client.shutDown() }
            while hub.connectionCount > 0 { await Task.yield() }
            let clients = try (0..<6).map { _ in try TestClient(port: port).opened() }
            async let drained: Void = hub.drain(period: .milliseconds(200), timeout: .seconds(60), reason: "going away")
            for client in clients {
                let close = try client.frame()
                #expect(close == .init(opcode: 8, payload: [0x03, 0xE9] + Array("going away".utf8)))
                client.send(8, [0x03, 0xE9])
                #expect(client.isAtEnd())
            }
            // The server waits for the clients to close their side too.
            for client in clients { client.shutDown() }
            await drained
            #expect(hub.connectionCount == 0)
        }
    }

    @Test func aHurriedDrainClosesTheRestAtOnce() async throws {
        try await withHub { hub, port in
            let clients = try (0..<6).map { _ in try TestClient(port: port).opened() }
            async let slow: Void = hub.drain(period: .seconds(3_000), timeout: .seconds(6_000), reason: "slowly")
            while await hub.connections(ConnectionSelection(), after: nil, limit: 9).connections.allSatisfy({
                $0.state == .open
            }) {}
            async let fast: Void = hub.drain(period: .zero, timeout: .seconds(60), reason: "now")
            for client in clients {
                #expect(try client.frame().opcode == 8)
                client.send(8, [0x03, 0xE9])
                #expect(client.isAtEnd())
                client.shutDown()
            }
            _ = await (slow, fast)
        }
    }

    @Test func everyWorkerThatTurnsAnswersTheProbe() async throws {
        try await withHub { hub, _ in
            _ = hub.haveAllWorkersTurned()
            while !hub.haveAllWorkersTurned() { await Task.yield() }
        }
    }
}
