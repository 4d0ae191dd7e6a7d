import Base
import Channels
import Operations
import Settings
import Testing
import WebSocket

@testable import Engine

@Suite("What an operator can find out", .blocking)
struct ObservationTests {
    @Test("how connections ended and who was refused is remembered, the newest first")
    func endings() async throws {
        try await withHub { hub, port in
            let clients = try (0..<4).map { _ in try TestClient(port: port).opened() }
            let ids = await hub.connections(ConnectionSelection(), after: nil, limit: 10).connections.map(\.id)
            _ = try await hub.kick(ConnectionSelection(ids: [ids[0]]), code: .policyViolation, reason: "enough")
            _ = try TestClient(port: port, path: "/nowhere").status()
            clients[3].leave()
            try await eventually { await hub.endings(ConnectionSelection(), limit: 10).count >= 3 }
            let refused = await hub.endings(ConnectionSelection(), limit: 10).filter { $0.id == nil }
            #expect(refused.map(\.cause) == ["not_found"])
            let kicked = await hub.endings(ConnectionSelection(ids: [ids[0]]), limit: 10)
            #expect(kicked.map(\.text) == ["enough"] && kicked.map(\.cause) == ["kicked"])
            #expect(kicked[0].connectedSince! <= kicked[0].time && kicked[0].endpoint == "/ws")
            #expect(await hub.endings(ConnectionSelection(), limit: 1).count == 1)
            let all = await hub.endings(ConnectionSelection(), limit: 10)
            #expect(all.map(\.time) == all.map(\.time).sorted(by: >))
            withExtendedLifetime(clients) {}
        }
    }

    @Test("channels and connections are found however many there are, some in each turn")
    func slices() async throws {
        let count = 10_000
        try await withHub {
            var settings = ChannelSettings()
            settings.keepHistory(messageCount: 1, age: 600_000, byteCount: 1_000)
            $0.workerCount = 1
            $0.channelRules = ChannelRules([(ChannelPattern("kept:*"), settings)])
        } _: {
            hub, port in
            let names = (0..<count).map { "kept:\(String(10 * count + $0).dropFirst())" }
            _ = await hub.publish(names.map { Hub.Message(channel: $0, opcode: .text, payload: [0x31]) })
            let before = await hub.statistics()[0].turns
            #expect(await hub.channelCounts(limit: 1).channels.map(\.name) == [names[0]])
            // Three for the walk, and one for the question.
            #expect(await hub.statistics()[0].turns >= before + 4)
            var found: [String] = []
            var hasMore = true
            while hasMore {
                let page = await hub.channelCounts(after: found.last, limit: 3_000)
                found += page.channels.map(\.name)
                hasMore = page.hasMore
            }
            #expect(found == names)
            let chosen = await hub.channelCounts(limit: 2) { $0.hasSuffix("99") }
            #expect(chosen.channels.map(\.name) == ["kept:00099", "kept:00199"] && chosen.hasMore)
            let clients = try (0..<5).map { _ in try TestClient(port: port).opened() }
            clients[3].say("busy")
            for client in clients { #expect(try client.text() == "busy") }
            // One in the middle is the busiest, as long as it is remembered.
            for _ in 0..<3 {
                _ = await hub.publish([Hub.Message(channel: names[count / 2], opcode: .text, payload: [0x31])])
            }
            let top = await hub.top(.messagesIn, connections: 2, channels: 2)
            #expect(top.channels.count == 2)
            #expect(top.channels[0].name == names[count / 2] && top.channels[0].messages == 4)
            #expect(top.connections.count == 2 && top.connections[0].messagesIn == 1)
            withExtendedLifetime(clients) {}
        }
    }

    @Test("a follower gets what a relay client gets, and the channel doesn't notice")
    func follow() async throws {
        try await withHub {
            $0.endpoints.append(.init(path: "/json", protocol: .json, channel: "lobby"))
        } _: {
            hub, port in
            let relay = try TestClient(port: port).opened()
            let json = try TestClient(port: port, path: "/json").opened()
            let (texts, seen) = AsyncStream.makeStream(of: String.self)
            let following = Task {
                try await hub.follow("lobby") { message, lost in
                    seen.yield(
                        message.map { "\($0.opcode) \(String(decoding: $0.payload, as: UTF8.self)) \(lost)" } ?? "-")
                }
            }
            var stream = texts.makeAsyncIterator()
            #expect(await stream.next() == "-")
            relay.say("plain")
            #expect(await stream.next() == "text plain 0")
            json.say(#"{"type":"chat","data":1.50}"#)
            #expect(await stream.next()!.contains(#""data":1.50"#))
            _ = await hub.publish([Hub.Message(channel: "lobby", opcode: .binary, payload: [0x41])])
            #expect(await stream.next() == "binary A 0")
            following.cancel()
            _ = await following.result
            // The channel is gone with its clients, follower or not.
            relay.leave()
            json.leave()
            try await eventually { await hub.channelCounts(limit: 1).channels.isEmpty }
        }
    }

    @Test("a follower that does not read loses what is too much, in messages and in bytes")
    func slowFollower() async throws {
        let large = [UInt8](repeating: 0x61, count: 1024 * 1024).withUnsafeBytes { Segment(.text, payload: $0) }
        let small = [0x61].withUnsafeBytes { Segment(.text, payload: $0) }
        // Room for 16 MiB, and for 4,096 messages.
        for (segment, count, fitting) in [(large, 20, 16), (small, 5_000, 4_096)] {
            let follower = Follower()
            for _ in 0..<count { follower.take(segment) }
            let (seen, note) = AsyncStream.makeStream(of: UInt64.self)
            let reading = Task { try await follower.forEach { _, lost in note.yield(lost) } }
            var losses = seen.makeAsyncIterator()
            for _ in 0..<fitting { #expect(await losses.next() == UInt64(count - fitting)) }
            // They are read: there is room again.
            follower.take(segment)
            #expect(await losses.next() == UInt64(count - fitting))
            reading.cancel()
            _ = await reading.result
        }
    }

    @Test("clients of json are taken out of a channel, others stay")
    func unsubscribe() async throws {
        try await withHub {
            $0.endpoints.append(.init(path: "/json", protocol: .json, channel: "lobby"))
        } _: {
            hub, port in
            let relay = try TestClient(port: port).opened()
            let clients = try (0..<3).map { _ in try TestClient(port: port, path: "/json").opened() }
            #expect(try await hub.unsubscribe(ConnectionSelection(), channel: "nobody", reason: "-") == 0)
            #expect(try await hub.unsubscribe(ConnectionSelection(), channel: "lobby", reason: "closed \"now\"") == 3)
            for client in clients {
                let left = try client.frame { String(decoding: $0.payload, as: UTF8.self).contains("\"left\"") }
                #expect(String(decoding: left.payload, as: UTF8.self).contains(#""reason":"closed \"now\"""#))
            }
            #expect(
                await hub.publish([Hub.Message(channel: "lobby", opcode: .text, payload: [0x31])]).map(\.connections)
                    == [1])
            #expect(try relay.text() == "1")
            withExtendedLifetime(clients) {}
        }
    }

    @Test("a batch keeps each channel's order and says where each message went")
    func batch() async throws {
        try await withHub { hub, port in
            let client = try TestClient(port: port).opened()
            let other = try TestClient(port: port, path: "/other").opened()
            let messages = (0..<300).map { number in
                Hub.Message(
                    channel: ["lobby", "other", "nobody"][number % 3], opcode: .text, payload: Array("\(number)".utf8))
            }
            let counts = await hub.publish(messages)
            #expect(counts.map(\.connections) == (0..<300).map { $0 % 3 == 2 ? 0 : 1 })
            for number in stride(from: 0, to: 300, by: 3) { #expect(try client.text() == "\(number)") }
            for number in stride(from: 1, to: 300, by: 3) { #expect(try other.text() == "\(number)") }
            #expect(await hub.publish([]) == [])
        }
    }

    @Test("times, batches and frames are counted")
    func figures() async throws {
        try await withHub { hub, port in
            let client = try TestClient(port: port).opened()
            for _ in 0..<5 {
                client.say("text")
                _ = try client.text()
            }
            let total = Statistics(total: await hub.statistics())
            #expect(total.framesIn[Int(Opcode.text.rawValue)] == 5)
            #expect(total.connectionsByEndpoint == [0: 1])
            func count(_ histogram: Histogram) -> UInt64 {
                histogram.counts.indices.reduce(0) { $0 + histogram.counts[$1] }
            }
            #expect(count(total.handshakes) == 1 && total.handshakes.sum > 0)
            #expect(count(total.latencies) == 5)
            #expect(count(total.turnTimes) <= total.turns && count(total.turnTimes) > 5)
        }
    }

    @Test("a histogram puts each value into the first bucket that has room for it")
    func histogram() {
        var times = Histogram()
        for value in [0, 50_000, 50_001, 2_500_000_000, 2_500_000_001] { times.record(nanoseconds: UInt64(value)) }
        #expect(times.counts[0] == 2 && times.counts[1] == 1 && times.counts[14] == 1 && times.counts[15] == 1)
        #expect(times.sum == 5_000_100_002)
        var counts = Histogram()
        for value in [1, 2, 3, 4, 5, 16_384, 16_385] { counts.record(count: value) }
        #expect(counts.counts[0] == 1 && counts.counts[1] == 1 && counts.counts[2] == 2 && counts.counts[3] == 1)
        #expect(counts.counts[14] == 1 && counts.counts[15] == 1)
        #expect(Histogram.countBounds[14] == 16_384)
        #expect(Histogram.secondsBounds.count == 15)
    }
}
