import CLinux
import Channels
import Operations
import Settings
import Testing
import WebSocket

@testable import Engine

@Suite("Another configuration while the workers run", .blocking)
struct ReconfigureTests {
    /// What `withHub` begins with.
    private static var configuration: EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.workerCount = 3
        configuration.maximumConnections = 1_000
        configuration.server.maxConnectionsPerIP = 0
        configuration.endpoints = [
            .init(path: "/ws", protocol: .relay, channel: "lobby"),
            .init(path: "/other", protocol: .relay, channel: "other"),
            .init(path: "/json", protocol: .json, channel: "room"),
        ]
        // Other tests keep the threads busy on which tokens are checked.
        configuration.server.handshakeTimeout = .seconds(120)
        // The clients answer no pings.
        configuration.websocket.pingInterval = .zero
        return configuration
    }

    private static func jsonEndpoint(_ configuration: inout EngineConfiguration) { configuration = Self.configuration }

    @Test("a lower limit of connections keeps out those who come, and nobody who is in")
    func connectionLimit() async throws {
        try await withHub { hub, port in
            let first = try TestClient(port: port).opened()
            let second = try TestClient(port: port).opened()
            var next = Self.configuration
            next.maximumConnections = 1
            await hub.reconfigure(next)
            #expect(try TestClient(port: port).status().contains("503"))
            first.say("still here")
            #expect(try second.text() == "still here")
            next.maximumConnections = 3
            await hub.reconfigure(next)
            _ = try TestClient(port: port).opened()
            withExtendedLifetime((first, second)) {}
        }
    }

    @Test("a limit for each address counts those who are in already, and forgets those who leave")
    func addressLimit() async throws {
        try await withHub { hub, port in
            let clients = try (0..<3).map { _ in try TestClient(port: port).opened() }
            var next = Self.configuration
            next.server.maxConnectionsPerIP = 3
            await hub.reconfigure(next)
            #expect(try TestClient(port: port).status().contains("429"))
            clients[0].leave()
            try await eventually { hub.connectionCount == 2 }
            let fourth = try TestClient(port: port).opened()
            #expect(try TestClient(port: port).status().contains("429"))
            // Off and on again: all are counted anew.
            await hub.reconfigure(Self.configuration)
            let fifth = try TestClient(port: port).opened()
            next.server.maxConnectionsPerIP = 4
            await hub.reconfigure(next)
            #expect(try TestClient(port: port).status().contains("429"))
            withExtendedLifetime((clients, fourth, fifth)) {}
        }
    }

    @Test("a rate limit that comes later gives everyone the whole burst first")
    func rateLimit() async throws {
        try await withHub { hub, port in
            let client = try TestClient(port: port).opened()
            var next = Self.configuration
            next.limits.messagesPerSecond = 1
            next.limits.burst = 5
            await hub.reconfigure(next)
            for number in 0..<5 {
                client.say("\(number)")
                #expect(try client.text() == "\(number)")
            }
            for _ in 0..<5 { client.say("too much") }
            let close = try client.frame { $0.opcode == 8 }
            #expect(Array(close.payload.prefix(2)) == [UInt8(1008 >> 8), UInt8(1008 & 0xFF)])
        }
    }

    @Test("an endpoint can come, change and go; who is on it stays as it was")
    func endpoints() async throws {
        try await withHub { hub, port in
            let old = try TestClient(port: port, path: "/other").opened()
            var next = Self.configuration
            next.endpoints = [
                .init(path: "/ws", protocol: .relay, channel: "lobby"),
                .init(path: "/other", protocol: .relay, channel: "elsewhere"),
                .init(path: "/new", protocol: .relay, channel: "other"),
            ]
            await hub.reconfigure(next)
            let new = try TestClient(port: port, path: "/new").opened()
            let moved = try TestClient(port: port, path: "/other").opened()
            #expect(try TestClient(port: port, path: "/json").status().contains("404"))
            new.say("from the new")
            #expect(try old.text() == "from the new")
            moved.say("elsewhere")
            #expect(try moved.text() == "elsewhere")
            new.say("again")
            #expect(try old.text() == "again")
            let listed = await hub.connections(ConnectionSelection(endpoint: "/other"), after: nil, limit: 10)
                .connections
            #expect(Set(listed.map(\.channels)) == [["other"], ["elsewhere"]])
        }
    }

    @Test("presence that comes later knows everyone who is there, and loses them as they leave")
    func presence() async throws {
        try await withHub(Self.jsonEndpoint) { hub, port in
            let members = try (0..<7).map { _ in try TestClient(port: port, path: "/json").opened() }
            #expect(try await hub.channel("room", limit: 0)?.hasPresence == false)
            var next = Self.configuration
            var settings = ChannelSettings()
            settings.presence = true
            settings.leaveDelay = .zero
            next.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            await hub.reconfigure(next)
            #expect(try await hub.channel("room", limit: 0)?.users.count == 7)
            let late = try TestClient(port: port, path: "/json").opened()
            #expect(try await hub.channel("room", limit: 0)?.users.count == 8)
            members[0].leave()
            members[3].leave()
            late.leave()
            try await eventually { try await hub.channel("room", limit: 0)?.users.count == 5 }
            // A limit counts them as well, whether it comes with presence or without.
            settings.maxMembers = 5
            next.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            await hub.reconfigure(next)
            #expect(try TestClient(port: port, path: "/json").status().contains("503"))
            settings.presence = false
            next.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            await hub.reconfigure(next)
            #expect(try TestClient(port: port, path: "/json").status().contains("503"))
            members[1].leave()
            try await eventually { hub.connectionCount == 4 }
            _ = try TestClient(port: port, path: "/json").opened()
            await hub.reconfigure(Self.configuration)
            #expect(try await hub.channel("room", limit: 0)?.users.isEmpty == true)
            // Clients that nothing refers to any more would be gone before.
            withExtendedLifetime(members) {}
        }
    }

    @Test("presence switched on and off while clients come and go leaves nobody behind")
    func presenceUnderWay() async throws {
        try await withHub(Self.jsonEndpoint) { hub, port in
            var tracked = Self.configuration
            var settings = ChannelSettings()
            settings.presence = true
            settings.leaveDelay = .zero
            settings.maxMembers = 1_000
            tracked.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<40 {
                        let clients = try (0..<5).map { _ in try TestClient(port: port, path: "/json").opened() }
                        for client in clients { client.leave() }
                    }
                }
                for round in 0..<40 { await hub.reconfigure(round.isMultiple(of: 2) ? tracked : Self.configuration) }
                try await group.waitForAll()
            }
            await hub.reconfigure(tracked)
            // Nobody is counted who isn't there: the channel is forgotten.
            try await eventually { try await hub.channel("room", limit: 0) == nil }
        }
    }

    @Test("a shorter history forgets at once")
    func history() async throws {
        try await withHub(Self.jsonEndpoint) { hub, port in
            var next = Self.configuration
            var settings = ChannelSettings()
            settings.keepHistory(messageCount: 10, age: 60_000, byteCount: 100_000)
            next.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            await hub.reconfigure(next)
            let messages = (0..<10).map {
                Hub.Message(channel: "room", opcode: .text, payload: Array("\($0)".utf8))
            }
            _ = await hub.publish(messages)
            var kept = try await hub.channel("room", limit: 100)
            #expect(kept?.messages.count == 10)
            settings.history = 3
            next.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            await hub.reconfigure(next)
            kept = try await hub.channel("room", limit: 100)
            #expect(kept?.messages.count == 3)
        }
    }

    @Test("who may not be in a channel any more is told so and leaves it")
    func access() async throws {
        try await withHub(Self.jsonEndpoint) { hub, port in
            let guest = try TestClient(port: port, path: "/json").opened()
            var next = Self.configuration
            var settings = ChannelSettings()
            settings.subscribe = .users
            next.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            await hub.reconfigure(next)
            let left = try guest.frame { String(decoding: $0.payload, as: UTF8.self).contains("\"left\"") }
            #expect(String(decoding: left.payload, as: UTF8.self).contains("\"channel\":\"room\""))
            #expect(
                await hub.publish([Hub.Message(channel: "room", opcode: .text, payload: [0x31])]).map(\.connections)
                    == [0])
            withExtendedLifetime(guest) {}
        }
    }

    @Test("a relay client that may not be in its channel any more is closed, who may stays")
    func accessByRelay() async throws {
        try await withHub(Self.jsonEndpoint) { hub, port in
            let guest = try TestClient(port: port, path: "/other").opened()
            let other = try TestClient(port: port, path: "/ws").opened()
            var next = Self.configuration
            var settings = ChannelSettings()
            settings.subscribe = .users
            next.channelRules = ChannelRules([(ChannelPattern("other"), settings)])
            await hub.reconfigure(next)
            let close = try guest.frame { $0.opcode == 8 }
            #expect(Array(close.payload.prefix(2)) == [UInt8(3003 >> 8), UInt8(3003 & 0xFF)])
            other.say("still here")
            #expect(try other.text() == "still here")
        }
    }

    /// The same configuration where every token is its bearer's name and good until `expiresAt`.
    private static func asking(expiresAt: Int64? = nil) -> EngineConfiguration {
        var configuration = Self.configuration
        configuration.verifyToken = { token in
            var identity = Identity(user: token)
            identity.expiresAt = expiresAt
            return .success(identity)
        }
        return configuration
    }

    @Test("where tokens are asked for from now on, who has none is closed with 3000, and nobody comes without")
    func tokensFromNowOn() async throws {
        try await withHub({ $0 = Self.configuration }) { hub, port in
            let guests = try ["/ws", "/json", "/json"].map { try TestClient(port: port, path: $0).opened() }
            await hub.reconfigure(Self.asking())
            for guest in guests {
                let close = try guest.frame { $0.opcode == 8 }
                #expect(Array(close.payload.prefix(2)) == [UInt8(3000 >> 8), UInt8(3000 & 0xFF)])
                #expect(String(decoding: close.payload.dropFirst(2), as: UTF8.self).contains("token"))
            }
            for path in ["/ws", "/json"] {
                #expect(try TestClient(port: port, path: path).status().contains("401"))
                let alice = try TestClient(port: port, path: "\(path)?token=alice").opened()
                // Who has one already stays.
                await hub.reconfigure(Self.asking())
                alice.send(9, [7])
                #expect(try alice.frame { $0.opcode == 10 }.payload == [7])
            }
        }
    }

    @Test("who was about to be let in without a token when tokens began to be asked for is refused or closed")
    func tokensUnderWay() async throws {
        try await withHub({ $0 = Self.configuration }) { hub, port in
            for _ in 0..<20 {
                await hub.reconfigure(Self.configuration)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<4 {
                        group.addTask {
                            let path = number.isMultiple(of: 2) ? "/json" : "/ws"
                            let clients = try (0..<10).map { _ in try TestClient(port: port, path: path) }
                            for client in clients where try client.status().contains("101") {
                                let close = try client.frame { $0.opcode == 8 }
                                #expect(Array(close.payload.prefix(2)) == [UInt8(3000 >> 8), UInt8(3000 & 0xFF)])
                            }
                        }
                    }
                    await hub.reconfigure(Self.asking())
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test("where tokens are asked for no more, anybody comes, and a token counts until it expires")
    func tokensNoMore() async throws {
        // A slow machine may need longer than a short token lives: then the token lives longer.
        for lifetime in [1_500, 6_000] as [Int64] {
            do {
                if try await tokensNoMore(lifetime: lifetime) { return }
            } catch TestClient.Failure.ended {
                // Its connection ended before it was looked at.
            }
        }
        #expect(try await tokensNoMore(lifetime: 30_000), "the clients were not there before their tokens expired")
    }

    /// - Parameter lifetime: that of the tokens in milliseconds. False if it was too short for the test.
    private func tokensNoMore(lifetime: Int64) async throws -> Bool {
        let expiresAt = clinux_realtime_milliseconds() + lifetime
        var asking = Self.asking(expiresAt: expiresAt)
        asking.auth.leeway = .milliseconds(100)
        var open = Self.configuration
        open.auth.leeway = .milliseconds(100)
        // Were it asked for another token, it would stay that long.
        open.auth.refreshGrace = .seconds(3_600)
        return try await withHub({ [asking] in $0 = asking }) { hub, port in
            var users: [TestClient] = []
            for path in ["/ws", "/json"] {
                let client = try TestClient(port: port, path: "\(path)?token=alice")
                guard try client.status().contains("101") else { return false }
                users.append(client)
            }
            await hub.reconfigure(open)
            _ = try TestClient(port: port).opened()
            let found = await hub.connections(ConnectionSelection(user: "alice"), after: nil, limit: 10).connections
            users[1].say(#"{"type":"refresh","token":"alice","id":1}"#)
            let answer: TestClient.Frame
            do {
                answer = try users[1].frame { String(decoding: $0.payload, as: UTF8.self).contains("\"id\":1") }
            } catch  where clinux_realtime_milliseconds() >= expiresAt {
                return false
            }
            guard clinux_realtime_milliseconds() < expiresAt else { return false }
            #expect(found.count == 2)
            #expect(String(decoding: answer.payload, as: UTF8.self).contains("unsupported"))
            for user in users {
                let frame = try user.frame {
                    $0.opcode == 8 || String(decoding: $0.payload, as: UTF8.self).contains("grace")
                }
                #expect(frame.opcode == 8 && Array(frame.payload.prefix(2)) == [UInt8(3000 >> 8), UInt8(3000 & 0xFF)])
            }
            #expect(clinux_realtime_milliseconds() >= expiresAt)
            return true
        }
    }

    @Test("a request for a host that is not allowed is answered with 421, page or WebSocket")
    func allowedHosts() async throws {
        try await withHub({ $0 = Self.configuration }) { hub, port in
            var next = Self.configuration
            next.server.allowedHosts = [HostPattern(.exact("example.org"), description: "example.org")]
            await hub.reconfigure(next)
            for path in ["/ws", "/json", "/nothing"] {
                #expect(try TestClient(port: port, path: path).head().contains("421 Misdirected Request"))
            }
            let refused = Statistics(total: await hub.statistics()).refused[Int(RefusalCause.host.rawValue)]
            #expect(refused == 3)
            next.server.allowedHosts = [HostPattern(.exact("localhost"), description: "localhost")]
            await hub.reconfigure(next)
            _ = try TestClient(port: port).opened()
        }
    }

    @Test("a smaller limit for heads finds room for those that are under way")
    func headerLimit() async throws {
        var wide = Self.configuration
        wide.server.maxHeaderByteCount = 1 << 20
        try await withHub({ [wide] in $0 = wide }) { hub, port in
            // Its head has no end.
            let client = try TestClient(port: port, fields: "X-Long: " + String(repeating: "a", count: 700 << 10))
            try await eventually { Statistics(total: await hub.statistics()).bytesIn > 700 << 10 }
            var next = Self.configuration
            next.server.maxHeaderByteCount = 16 << 10
            await hub.reconfigure(next)
            client.send([UInt8(ascii: "b")])
            #expect(try client.status().contains("431"))
            let another = try TestClient(port: port).opened()
            another.say("well")
            #expect(try another.text() == "well")
        }
    }

    @Test("a shorter interval of pings gives everyone the whole time for a pong")
    func heartbeats() async throws {
        var lazy = Self.configuration
        lazy.websocket.pingInterval = .seconds(3_600)
        try await withHub({ [lazy] in $0 = lazy }) { hub, port in
            let clients = try (0..<20).map { _ in try TestClient(port: port).opened() }
            try await Task.sleep(for: .milliseconds(500))
            var next = Self.configuration
            next.websocket.pingInterval = .milliseconds(100)
            next.websocket.pongTimeout = .seconds(600)
            await hub.reconfigure(next)
            for client in clients { #expect(try client.frame().opcode == 9) }
            // A few turns of the sweep later all are still there.
            try await Task.sleep(for: .milliseconds(300))
            clients[0].say("still here")
            for client in clients { #expect(try client.frame { $0.opcode != 9 }.payload == Array("still here".utf8)) }
        }
    }
}
