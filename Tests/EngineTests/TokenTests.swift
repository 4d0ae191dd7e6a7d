import Channels
import Glibc
import Operations
import Settings
import Synchronization
import Testing
import WebSocket

@testable import Engine

@Suite("A token", .blocking)
struct TokenTests {
    /// Tokens are "USER" or "USER:GRANTED-CHANNEL"; the engine leaves what is in them to who verifies them.
    private func verified(_ change: @escaping @Sendable (inout Identity) -> Void = { _ in })
        -> @Sendable (inout EngineConfiguration) -> Void
    {
        { configuration in
            configuration.endpoints.append(.init(path: "/chat", protocol: .json, channel: "lobby"))
            configuration.auth.cookie = "session"
            configuration.auth.refreshGrace = .milliseconds(200)
            configuration.verifyToken = { token in
                guard token.hasPrefix("alice") else {
                    return .failure(TokenRefusal(label: "bad_signature", message: "the \"signature\" is wrong"))
                }
                var identity = Identity(user: "alice")
                if token == "alice+room" {
                    identity.grants = [Grant(pattern: ChannelPattern("room"), subscribe: true, publish: true)]
                }
                change(&identity)
                return .success(identity)
            }
        }
    }

    private func text(_ client: TestClient) throws -> String {
        String(decoding: try client.frame().payload, as: UTF8.self)
    }

    @Test func `is asked for before the upgrade, with a challenge that says what was wrong`() async throws {
        try await withHub(verified()) { _, port in
            for path in ["/ws", "/chat"] {
                let missing = try TestClient(port: port, path: path).head()
                #expect(missing.contains("401 Unauthorized"))
                #expect(missing.contains("WWW-Authenticate: Bearer realm=\"wsd\"\r\n"))
                let bad = try TestClient(port: port, path: path, fields: "Authorization: Bearer x\r\n").head()
                #expect(bad.contains("error=\"invalid_token\", error_description=\"the 'signature' is wrong\""))
            }
        }
    }

    @Test(arguments: [
        ("/chat", "Authorization: Bearer alice\r\n"), ("/chat?token=alice", ""), ("/chat?a=b&token=%61lice", ""),
        ("/chat", "Cookie: a=b; session=alice; c=d\r\n"), ("/chat?token=bob", "Authorization: bearer alice\r\n"),
        ("/chat?token=alice", "Cookie: session=bob\r\n"),
    ])
    func `comes in a field, the query or a cookie, in this order`(path: String, fields: String) async throws {
        try await withHub(verified()) { hub, port in
            let client = try TestClient(port: port, path: path, fields: fields).opened()
            #expect(try text(client).contains("\"user\":\"alice\""))
            let found = await hub.connections(ConnectionSelection(user: "alice"), after: nil, limit: 10).connections
            #expect(found.map(\.user) == ["alice"])
        }
    }

    @Test func `opens the channels that it grants`() async throws {
        try await withHub({
            verified()(&$0)
            var settings = ChannelSettings()
            settings.subscribe = .granted
            settings.publish = .granted
            $0.channelRules = ChannelRules([(ChannelPattern("room"), settings)])
            $0.endpoints.append(.init(path: "/room", protocol: .relay, channel: "room"))
        }) { _, port in
            let refused = try TestClient(port: port, path: "/room?token=alice").status()
            #expect(refused.contains("403 Forbidden"))
            let granted = try TestClient(port: port, path: "/room?token=alice%2Broom").opened()
            granted.send(1, Array("hello".utf8))
            #expect(try text(granted) == "hello")
            let client = try TestClient(port: port, path: "/chat?token=alice").opened()
            _ = try client.frame()
            client.send(1, Array(#"{"type":"join","channel":"room","id":1}"#.utf8))
            #expect(try text(client).contains("not_permitted"))
            client.send(1, Array(#"{"type":"refresh","token":"alice+room","id":2}"#.utf8))
            #expect(try text(client) == #"{"type":"ack","id":2}"#)
            client.send(1, Array(#"{"type":"join","channel":"room","id":3}"#.utf8))
            #expect(try text(client).hasPrefix(#"{"type":"ack","id":3,"channel":"room""#))
            client.send(1, Array(#"{"type":"refresh","token":"alice","id":4}"#.utf8))
            #expect(try text(client) == #"{"type":"ack","id":4}"#)
            #expect(try text(client).contains(#""event":"left","channel":"room""#))
            client.send(1, Array(#"{"type":"refresh","token":"bob","id":5}"#.utf8))
            #expect(try text(client).contains("bad_token"))
        }
    }

    @Test func `is not checked while too many are, though their clients have gone`() async throws {
        let begun = Atomic(0)
        let (untilThen, end) = AsyncStream<Void>.makeStream()
        let waiting = Task { for await _ in untilThen {} }
        try await withHub({
            $0.workerCount = 1
            $0.verifyToken = { _ in
                begun.add(1, ordering: .relaxed)
                await waiting.value
                return .success(Identity(user: "alice"))
            }
        }) { hub, port in
            let token = "Authorization: Bearer \(String(repeating: "x", count: 12_000))\r\n"
            func held() async -> Int { await hub.statistics()[0].memory.input }
            let most = TokenChecks.limit / 12_000
            var count = 0
            while count <= most {
                let client = try TestClient(port: port, fields: token)
                // It is refused, or its check begins.
                var readable = pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0)
                while begun.load(ordering: .relaxed) == count, poll(&readable, 1, 0) == 0 { usleep(100) }
                guard begun.load(ordering: .relaxed) > count else { break }
                count += 1
                client.endWithReset()
            }
            #expect(count > most / 2 && count < most)
            let refused = try TestClient(port: port, fields: token).head()
            #expect(refused.contains("503 Service Unavailable"))
            try await eventually { await held() <= TokenChecks.limit }
            #expect(await held() > TokenChecks.limit / 2)
            end.finish()
            try await eventually { await held() == 0 }
            _ = try TestClient(port: port, fields: token).opened()
        }
    }

    @Test(arguments: [32_503_680_000_000, 99_999_999_999_000, Int64.max])
    func `may be good for thousands of years`(expiresAt: Int64) async throws {
        try await withHub(verified { $0.expiresAt = expiresAt }) { _, port in
            for path in ["/ws", "/chat"] {
                let client = try TestClient(port: port, path: "\(path)?token=alice").opened()
                client.send(1, Array(#"{"type":"ping","id":1}"#.utf8))
                #expect(try text(client).hasPrefix("{"))
            }
        }
    }

    @Test func `that has expired is to be refreshed, or the connection is closed with 3000`() async throws {
        try await withHub(verified { $0.expiresAt = 1 }) { _, port in
            let client = try TestClient(port: port, path: "/chat?token=alice").opened()
            _ = try client.frame()
            #expect(try text(client).hasPrefix(#"{"type":"refresh""#))
            let close = try client.frame { $0.opcode != 9 }
            #expect(close.opcode == 8 && close.payload.prefix(2) == [0x0B, 0xB8], "\(close)")
        }
    }
}
