import Base
import Operations
import Settings
import Synchronization
import Testing
import WebSocket

@testable import Engine

/// One task at a time uses a client: the test that opens it, then the task it is given to.
extension TestClient: @unchecked Sendable {}

/// Every path between workers while all others are in use: what ThreadSanitizer has to see.
@Suite(.blocking) struct ConcurrencyTests {
    private static let channels = 0..<4
    /// A channel's members: each offers this, the last one nothing.
    private static let offers = [
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
        "",
    ]
    private static var members: Int { offers.count }

    /// Four workers, so that the channels have homes on several of them.
    private static func configure(_ configuration: inout EngineConfiguration) {
        configuration.workerCount = 4
        configuration.server.maxConnectionsPerIP = 500
        configuration.endpoints = (channels.map(String.init) + ["passing", "kicked"]).map {
            .init(path: "/" + $0, protocol: .relay, channel: $0)
        }
    }

    @Test func oneOrderHoldsWhileConnectionsPassAndTheControlPlaneAsks() async throws {
        let messages = 60
        let announcements = 15
        try await withHub(Self.configure) { hub, port in
            hub.reportsEverything = true
            let clients = try Self.channels.map { channel in
                try Self.offers.map { try TestClient(port: port, path: "/\(channel)", fields: $0).opened() }
            }
            let orders = try await withThrowingTaskGroup(of: (channel: Int, order: [[UInt8]])?.self) { group in
                for channel in Self.channels {
                    for (member, client) in clients[channel].enumerated() {
                        group.addTask {
                            for number in 0..<messages { client.send(2, Self.message(member, number)) }
                            return (channel, try Self.hear(client, messages * Self.members + announcements))
                        }
                    }
                    group.addTask {
                        for number in 0..<announcements {
                            let message = Self.message(Self.members, number)
                            let reached = await hub.publish([
                                Hub.Message(channel: String(channel), opcode: .binary, payload: message)
                            ])
                            #expect(reached.map(\.connections) == [Self.members])
                        }
                        return nil
                    }
                }
                for passenger in 0..<3 {
                    group.addTask {
                        for _ in 0..<10 { try Self.passBy(port, saying: UInt8(passenger)) }
                        return nil
                    }
                }
                group.addTask {
                    for _ in 0..<10 { try await Self.beKicked(hub, port) }
                    return nil
                }
                group.addTask {
                    for _ in 0..<20 { #expect(await hub.statistics().count == 4) }
                    return nil
                }
                group.addTask {
                    for _ in 0..<20 { #expect(await Self.idsOfMembers(hub).count == 12) }
                    return nil
                }
                return try await group.reduce(into: [Int: [[[UInt8]]]]()) { orders, next in
                    if let next { orders[next.channel, default: []].append(next.order) }
                }
            }
            for channel in Self.channels {
                let heard = try #require(orders[channel])
                #expect(heard.count == Self.members)
                #expect(heard.allSatisfy { $0 == heard[0] })
                for member in 0..<Self.members {
                    let own = heard[0].filter { $0[0] == UInt8(member) }.map { Int($0[1]) }
                    #expect(own == Array(0..<messages))
                }
            }
        }
    }

    @Test func aDrainEndsConnectionsThatNeverStopTalking() async throws {
        try await withHub(Self.configure) { hub, port in
            let clients = try (0..<12).map { try TestClient(port: port, path: "/\($0 % 4)").opened() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in clients {
                    group.addTask {
                        var frame: TestClient.Frame
                        repeat {
                            client.send(1, [65])
                            frame = try client.frame()
                        } while frame.opcode == 1
                        #expect(frame == .init(opcode: 8, payload: [0x03, 0xE9] + Array("going away".utf8)))
                        client.send(8, [0x03, 0xE9])
                        client.shutDown()
                    }
                }
                group.addTask {
                    // Newcomers until nobody listens any more.
                    while let newcomer = try? TestClient(port: port, path: "/passing") { newcomer.shutDown() }
                }
                group.addTask {
                    await hub.drain(period: .milliseconds(100), timeout: .seconds(60), reason: "going away")
                    #expect(hub.connectionCount == 0)
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func whoeverAnswersLastResumes() async {
        for _ in 0..<200 {
            let answers = await Replies<Int>.collect(2) { replies in
                Task.detached {
                    replies.expect(2)
                    for answer in 2...3 { Task.detached { replies.answer(answer) } }
                    replies.answer(0)
                }
                Task.detached { replies.answer(1) }
            }
            #expect(answers.sorted() == [0, 1, 2, 3])
        }
    }

    /// Long enough to be worth compressing.
    private static func message(_ member: Int, _ number: Int) -> [UInt8] {
        [UInt8(member), UInt8(number)] + [UInt8](repeating: 0, count: 400)
    }

    /// The next messages of a client; a shorter frame than all of them are is a compressed one.
    private static func hear(_ client: TestClient, _ count: Int) throws -> [[UInt8]] {
        var inflater = Inflater()
        return try (0..<count).map { _ in
            let payload = try client.frame().payload
            guard payload.count < message(0, 0).count else { return payload }
            return try payload.withUnsafeBytes {
                guard case .message(let bytes) = inflater.inflate($0, limit: 1_000) else {
                    throw TestClient.Failure.ended
                }
                return Array(bytes)
            }
        }
    }

    /// Opens, says something, closes, and hears it before the close, wherever the channel's home is.
    private static func passBy(_ port: UInt16, saying word: UInt8) throws {
        let client = try TestClient(port: port, path: "/passing").opened()
        client.send(2, [word])
        client.send(8, [0x03, 0xE8])
        var frames: [TestClient.Frame] = []
        repeat { frames.append(try client.frame()) } while frames.last?.opcode != 8
        #expect(frames.contains(.init(opcode: 2, payload: [word])))
    }

    private static func beKicked(_ hub: Hub, _ port: UInt16) async throws {
        let client = try TestClient(port: port, path: "/kicked").opened()
        let selection = ConnectionSelection(channel: "kicked")
        #expect(try await hub.kick(selection, code: CloseCode(rawValue: 4_001), reason: "") == 1)
        #expect(try client.frame() == .init(opcode: 8, payload: [0x0F, 0xA1]))
        client.send(8, [0x0F, 0xA1])
        #expect(client.isAtEnd())
    }

    /// The connections that stay, listed in pages.
    private static func idsOfMembers(_ hub: Hub) async -> Set<ConnectionID> {
        var ids: Set<ConnectionID> = []
        var cursor: Hub.Cursor?
        repeat {
            let page = await hub.connections(ConnectionSelection(), after: cursor, limit: 5)
            for connection in page.connections where connection.channels.contains(where: { Int($0) != nil }) {
                ids.insert(connection.id)
            }
            cursor = page.next
        } while cursor != nil
        return ids
    }
}
