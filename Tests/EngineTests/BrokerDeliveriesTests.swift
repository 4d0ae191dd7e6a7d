import Base
import Broker
import Channels
import Settings
import Testing

@testable import Engine

/// What a broker delivers faster than the workers take it.
@Suite("More than the workers take", .blocking)
struct BrokerDeliveriesTests {
    private static let kibibyte = String(repeating: "x", count: 1024)

    /// What is left of an event, in a word.
    private static func words(_ events: [BrokerEvent]) -> [String] {
        events.map { event in
            switch event {
            case .delivered(let batch): "\(batch.channel)\(batch.position.seq)"
            case .subscribed(let channel, let position, let history): "\(channel)=\(position.seq)+\(history.count)"
            case .gap(let channel, let position): "\(channel)?\(position.seq)"
            case .interrupted(let channel): "\(channel)!"
            case .members(let channel, _, let members): "\(channel):\(members.map { "\($0.count)" } ?? "-")"
            default: "."
            }
        }
    }

    @Test func `is dropped a channel at a time, until the channel's state comes`() {
        let deliveries = BrokerDeliveries()
        func admit(_ events: BrokerEvent...) -> [String] { Self.words(deliveries.admit(events, limit: 2_000)) }
        func at(_ seq: UInt64) -> MessagePosition { MessagePosition(epoch: "e1", seq: seq) }
        let a = (1...9).map { batch("a", "e1", $0, Self.kibibyte) }
        #expect(admit(.delivered(a[0]), .delivered(a[1]), .delivered(a[2])) == ["a1", "a2", "a!"])
        // Both channels are full; the rest says nothing of what was dropped.
        #expect(
            admit(
                .delivered(a[3]), .gap(channel: "a", at(9)), .gap(channel: "b", at(3)),
                .delivered(batch("b", "e1", 4, "")), .delivered(batch("b", "e1", 5, "")), .health(.up),
                .accepted(channel: "a", number: 1, at(4)))
                == ["b?3", "b!", "."])
        // A history needs room, and so do users.
        #expect(admit(.subscribed(channel: "a", at(4), history: [a[0]])) == ["a!"])
        #expect(
            admit(.members(channel: "a", token: 1, [BrokerMember(user: "ada", nodeCount: 1, since: 0)])) == ["a:-"])
        #expect(admit(.subscribed(channel: "b", at(5), history: []), .delivered(a[4])) == ["b=5+0"])
        deliveries.finish(byteCount: deliveries.byteCount)
        #expect(
            admit(
                .delivered(a[5]), .delivered(batch("b", "e1", 6, "")), .subscribed(channel: "a", at(6), history: a),
                .delivered(a[6]), .delivered(batch("b", "e1", 7, "")))
                == ["b6", "a=6+9", "a!", "b!"])
        deliveries.finish(byteCount: deliveries.byteCount)
        deliveries.forget("a")
        #expect(admit(.delivered(a[7]), .delivered(batch("b", "e1", 8, ""))) == ["a8"])
        #expect(deliveries.droppedCount == 10)
    }

    @Test func `has a bound of its own within that of all memory`() {
        #expect(BrokerDeliveries.limit(memory: 0) == 64 << 20)
        #expect(BrokerDeliveries.limit(memory: 1 << 40) == 64 << 20)
        #expect(BrokerDeliveries.limit(memory: 80 << 20) == 10 << 20)
        #expect(BrokerDeliveries.limit(memory: 1 << 20) == 256 << 10)
    }

    /// Both channels get 5,000 messages at once; one keeps a hundred.
    @Test(arguments: [(1, "/chat", "lobby"), (3, "/chat", "lobby"), (2, "/plain", "plain")])
    func `is asked for again, filled from the history, or told as a gap`(
        workerCount: Int, path: String, channel: String
    ) async throws {
        try await withSharedNodes({
            $0.workerCount = workerCount
            $0.memoryByteCount = 16 << 20
            $0.queue.limitByteCount = 16 << 20
        }) { server, one, _ in
            func message(_ seq: UInt64) -> [UInt8] {
                batch(channel, "e1", seq, "\"\(seq)\(Self.kibibyte)\"").publications
            }
            let client = try Chatter(one, "ada", path: path)
            try await eventually { server.subscribers(of: channel) == 1 && !client.texts.isEmpty }
            await one.broker.together {
                for seq: UInt64 in 1...5_000 { server.publish(channel, message(seq)) }
            }
            #expect(one.hub.brokerDeliveries.byteCount <= BrokerDeliveries.limit(memory: 16 << 20) + 2_048)
            try await eventually { client.texts.contains { $0.contains(#""seq":5000"#) } }
            try await eventually { one.hub.brokerDeliveries.byteCount == 0 }
            // The channel goes on.
            client.ask(.chat(channel, data: "1"), #""type":"chat","data":1"#)
            try await eventually {
                client.texts.contains { $0.hasPrefix(#"{"type":"chat""#) && $0.contains(#""seq":5001"#) }
            }
            let outcome = client.outcome(0)
            #expect(outcome.places[channel]?.seq == 5_001)
            #expect(outcome.gapCount == 1)
            let last = outcome.messages.suffix(101).map(\.1.seq)
            if channel == "lobby" { #expect(last == Array(4_901...5_001)) }
            #expect((1_000..<4_000).contains(outcome.messages.count))
            #expect(one.hub.brokerDeliveries.droppedCount > 1_000)
            try await client.leave()
        }
    }
}
