import Channels
import Settings
import Testing

@testable import Engine

@Suite("A room", .blocking)
struct RoomTests {
    private func total(_ hub: Hub) async -> Statistics {
        let total = Statistics(total: await hub.statistics())
        return total
    }

    @Test func `whose history has expired costs nothing, whoever noticed it first`() async throws {
        try await withHub({
            var settings = ChannelSettings()
            settings.keepHistory(messageCount: 10, age: 50, byteCount: 10_000)
            $0.channelRules = ChannelRules([(ChannelPattern("*"), settings)])
            $0.endpoints = [.init(path: "/chat", protocol: .json, channel: "lobby")]
        }) { hub, port in
            let client = try TestClient(port: port, path: "/chat").opened()
            _ = try client.frame()
            client.send(1, Array(#"{"type":"chat","data":"kept for a moment"}"#.utf8))
            _ = try client.frame()
            var answer = ""
            while !answer.contains(#""messages":[]"#) {
                client.send(1, Array(#"{"type":"history","id":1}"#.utf8))
                answer = String(decoding: try client.frame().payload, as: UTF8.self)
            }
            #expect(await total(hub).historyBytes == 0)
        }
    }

    @Test func `is forgotten when its last client has left, with a token as well as without`() async throws {
        for isIdentified in [false, true] {
            try await withHub({
                guard isIdentified else { return }
                $0.verifyToken = { .success(Identity(user: $0)) }
            }) { hub, port in
                let client = try TestClient(port: port, path: "/ws?token=alice").opened()
                #expect(await total(hub).channels > 0)
                client.shutDown()
                while hub.connectionCount > 0 { await Task.yield() }
                #expect(await total(hub).channels == 0)
            }
        }
    }
}
