import Base
import Settings
import Testing
import WebSocket

@testable import Engine

/// What a snapshot has, another hub goes on with, as after a crash.
@Suite("Snapshots of histories", .blocking)
struct SnapshotTests {
    /// - Parameter age: how long messages are kept, in milliseconds.
    private static func hub(workers: Int, age: Int64 = 600_000, adopting snapshot: [UInt8]? = nil) -> Hub {
        var settings = Settings()
        var kept = ChannelSettings()
        kept.keepHistory(messageCount: 500, age: age, byteCount: 1_000_000)
        var pattern = Settings.Channel(pattern: "kept*")
        pattern.settings = kept
        settings.channels = [pattern]
        var configuration = EngineConfiguration(settings)
        configuration.workerCount = workers
        configuration.maximumConnections = 100
        guard let snapshot else { return Hub(configuration) }
        return snapshot.withUnsafeBytes { Hub(configuration, adopting: ParkedState(snapshot: $0)) }
    }

    private static func publish(_ hub: Hub, _ channel: String, _ texts: some Sequence<String>) async {
        _ = await hub.publish(texts.map { Hub.Message(channel: channel, opcode: .text, payload: Array($0.utf8)) })
    }

    private static func messages(_ hub: Hub, _ channel: String) async throws -> [String] {
        let state = try await hub.channel(channel, limit: 1_000)
        return (state?.messages ?? []).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [(1, 1), (2, 1), (1, 3), (3, 2)])
    func `histories go on with their numbers under another epoch`(before: Int, after: Int) async throws {
        let hub = Self.hub(workers: before)
        for number in 0..<700 {
            await Self.publish(hub, "kept \(number)", (0...(number % 5)).map { "\(number).\($0)" })
        }
        await Self.publish(hub, "kept large", (0..<60).map { "\($0) " + String(repeating: "x", count: 3_000) })
        await Self.publish(hub, "kept long", (0..<700).map(String.init))
        await Self.publish(hub, "other", ["lost"])
        let snapshot = try #require(await hub.snapshot())
        #expect(snapshot.channelCount == 702 && snapshot.messageCount == 140 * 15 + 60 + 500)
        #expect(await hub.snapshot(since: snapshot.mark) == nil, "nothing was published since")
        await Self.publish(hub, "kept long", ["later"])
        #expect(await hub.snapshot(since: snapshot.mark)?.messageCount == snapshot.messageCount)

        let next = Self.hub(workers: after, adopting: snapshot.pieces.flatMap { $0 })
        let recovered = try #require(next.recovered)
        #expect(next.adopted == nil && recovered.problem == nil)
        #expect((recovered.channelCount, recovered.messageCount) == (snapshot.channelCount, snapshot.messageCount))
        for name in ["kept 3", "kept 699", "kept large", "kept long"] {
            let old = try #require(try await hub.channel(name, limit: 1))
            let new = try #require(try await next.channel(name, limit: 1))
            #expect(old.epoch != new.epoch)
        }
        #expect(try await Self.messages(hub, "kept large") == Self.messages(next, "kept large"))
        #expect(try await Self.messages(hub, "kept 7") == Self.messages(next, "kept 7"))
        let published = await next.publish([.init(channel: "kept long", opcode: .text, payload: [0x31])])
        #expect(published[0].position?.seq == 701)
        // The same snapshot again, as after another crash.
        let third = Self.hub(workers: after, adopting: snapshot.pieces.flatMap { $0 })
        let again = await third.publish([.init(channel: "kept long", opcode: .text, payload: [0x31])])
        #expect(again[0].position?.seq == 701 && again[0].position?.epoch != published[0].position?.epoch)
        for each in [hub, next, third] { await each.stop() }
    }

    @Test func `what is kept no longer is in no snapshot for long`() async throws {
        let hub = Self.hub(workers: 2, age: 100)
        await Self.publish(hub, "kept", ["secret"])
        var last = try #require(await hub.snapshot())
        try await eventually {
            if let next = await hub.snapshot(since: last.mark) { last = next }
            return last.channelCount == 0
        }
        #expect(last.pieces.isEmpty)
        await hub.stop()
    }

    @Test func `without a history there is nothing to keep`() async throws {
        let hub = Self.hub(workers: 2)
        await Self.publish(hub, "other", ["lost"])
        let snapshot = try #require(await hub.snapshot())
        #expect(snapshot.pieces.isEmpty && snapshot.channelCount == 0)
        await hub.stop()
    }

    @Test func `nothing of a damaged snapshot is believed`() async throws {
        let hub = Self.hub(workers: 2)
        await Self.publish(hub, "kept", ["one", "two"])
        let bytes = try #require(await hub.snapshot()).pieces.flatMap { $0 }
        await hub.stop()
        var random = Seeded(seed: 7)
        for _ in 0..<40 {
            var damaged = bytes
            let place = Int.random(in: damaged.indices, using: &random)
            damaged[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
            if Bool.random(using: &random) { damaged.removeLast(Int.random(in: 1...damaged.count, using: &random)) }
            let next = Self.hub(workers: 1, adopting: damaged)
            #expect(next.recovered?.problem != nil && next.recovered?.messageCount == 0, "seed 7")
            #expect(try await Self.messages(next, "kept").isEmpty)
            await next.stop()
        }
    }
}
