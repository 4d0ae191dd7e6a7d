import Base
import Broker
import Channels
import Operations
import Settings
import Testing
import WebSocket

@testable import Engine

/// What a broker, or the time at which something comes, must not do to a shared channel.
@Suite("A shared channel in trouble", .blocking)
struct SharedChannelFaultTests {
    @Test func `is inspected where nobody is in it, and forgotten`() async throws {
        try await withSharedNodes { server, one, two in
            let writer = try two.client("ada")
            _ = try writer.next("system")
            writer.say(#"{"type":"chat","id":1,"data":1}"#)
            _ = try writer.next("ack")
            async let other = one.hub.channel("lobby", limit: 10)
            let snapshot = try await one.hub.channel("lobby", limit: 10)
            #expect(snapshot?.seq == 1 && snapshot?.users.map(\.user) == ["ada"])
            #expect(try await other?.seq == 1)
            #expect(try await one.hub.channel("plain", limit: 10)?.seq == 0)
            try await eventually { server.subscribers(of: "lobby") == 1 && server.subscribers(of: "plain") == 0 }
            try await eventually { await one.hub.statistics().reduce(0) { $0 + $1.channels } == 0 }
            withExtendedLifetime(writer) {}
        }
    }

    @Test(arguments: [1, 3]) func `gives a new member all that comes after its join`(workerCount: Int) async throws {
        try await withSharedNodes({ $0.workerCount = workerCount }) { server, one, two in
            let client = try one.client("ada", "/plain")
            let writer = try two.client("bob")
            for client in [client, writer] { _ = try client.next("system") }
            for round in 0..<10 {
                // The channel's state and the first messages come at once.
                try await one.broker.together {
                    client.say(#"{"type":"join","id":\#(round),"channel":"n\#(round)"}"#)
                    try await eventually { server.subscribers(of: "n\(round)") == 1 }
                    for number in 1...3 {
                        writer.say(#"{"type":"chat","id":1,"channel":"n\#(round)","data":\#(number)}"#)
                        _ = try writer.next("ack")
                    }
                }
                #expect(try client.next("ack").contains(#""seq":0"#))
                for number in 1...3 { #expect(try client.next("chat").member("data") == "\(number)") }
            }
        }
    }

    @Test func `answers in order, though the client is not in the channel`() async throws {
        try await withSharedNodes { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            for round in 0..<12 {
                server.stop()
                client.say(#"{"type":"chat","id":"a","channel":"far\#(round)","data":1}"#)
                try await Task.sleep(for: .milliseconds(20))
                client.say(#"{"type":"ping","id":"b"}"#)
                // Longer than the kernel keeps a small second message back.
                try await Task.sleep(for: .milliseconds(100))
                server.go()
                #expect(try client.next("ack").member("id") == #""a""#)
                #expect(try client.next("ack").member("id") == #""b""#)
            }
        }
    }

    @Test func `refuses a question that the broker does not answer`() async throws {
        try await withSharedNodes { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            await one.allowWaiting(.seconds(1))
            one.broker.ignoresQuestions = true
            client.say(#"{"type":"presence","id":1}"#)
            #expect(try client.next("error").contains("unavailable"))
            await #expect(throws: BrokerUnavailable.self) { try await one.hub.channel("lobby", limit: 1) }
            // What the node has is not the broker's to say.
            #expect(try await one.hub.channel("lobby", limit: 1, wantsUsers: false)?.seq == 0)
            // Nor is there a state of a channel that has not come.
            server.stop()
            await #expect(throws: BrokerUnavailable.self) {
                try await one.hub.channel("plain", limit: 1, wantsUsers: false)
            }
            server.go()
            await one.allowWaiting(.seconds(120))
            one.broker.ignoresQuestions = false
            client.say(#"{"type":"presence","id":2}"#)
            #expect(try client.next("ack").contains("ada"))
        }
    }

    @Test func `asks the broker again for history that the node has dropped`() async throws {
        try await withSharedNodes({ $0.limits.historyByteCount = 20_000 }) { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            client.say(#"{"type":"join","id":"j","channel":"other"}"#)
            _ = try client.next("ack")
            func fill(_ channel: String) throws {
                let text = String(repeating: "x", count: 500)
                for number in 1...30 {
                    client.say(#"{"type":"chat","id":\#(number),"channel":"\#(channel)","data":"\#(number)\#(text)"}"#)
                    _ = try client.next("ack")
                }
            }
            try fill("lobby")
            try fill("other")
            for channel in ["lobby", "other", "lobby"] {
                client.say(#"{"type":"history","id":"h","channel":"\#(channel)"}"#)
                let answer = try client.next("ack")
                #expect(answer.contains(#""data":"1xxx"#) && answer.contains(#""data":"30xxx"#))
            }
            for channel in ["other", "lobby"] {
                #expect(try await one.hub.channel(channel, limit: 100)?.messages.count == 30)
            }
            // The pages end where the broker's history does.
            #expect(try await one.hub.channel("lobby", before: 4, limit: 100)?.messages.count == 3)
            // If it can't be asked, what is left is not passed off as all.
            try fill("other")
            await one.allowWaiting(.seconds(1))
            server.stop()
            client.say(#"{"type":"history","id":"h"}"#)
            #expect(try client.next("error").contains("unavailable"))
            await #expect(throws: BrokerUnavailable.self) {
                try await one.hub.channel("lobby", limit: 100, wantsUsers: false)
            }
            server.go()
            await one.allowWaiting(.seconds(120))
            #expect(try await one.hub.channel("lobby", limit: 100)?.messages.count == 30)
        }
    }

    @Test(arguments: [1, 3])
    func `answers a question once, though the member is taken out`(workerCount: Int) async throws {
        try await withSharedNodes({ $0.workerCount = workerCount }) { server, one, _ in
            for round in 0..<6 {
                let client = try one.client("ada")
                _ = try client.next("system")
                let channel = "room\(round)"
                client.say(#"{"type":"join","id":0,"channel":"\#(channel)"}"#)
                _ = try client.next("ack")
                server.stop()
                client.say(#"{"type":"presence","id":1,"channel":"\#(channel)"}"#)
                try await Task.sleep(for: .milliseconds(100))
                #expect(try await one.hub.unsubscribe(ConnectionSelection(), channel: channel, reason: "out") == 1)
                server.go()
                client.say(#"{"type":"ping","id":2}"#)
                var answers: [String] = []
                while answers.last != "2" {
                    let text = try client.text()
                    if let id = text.member("id") { answers.append(id) }
                    #expect(!text.contains("users"))
                }
                #expect(answers == ["1", "2"])
            }
        }
    }

    @Test func `is unsubscribed, though somebody publishes as the last member leaves`() async throws {
        try await withSharedNodes({ $0.workerCount = 1 }) { server, one, _ in
            let client = try one.client("ada", "/plain")
            _ = try client.next("system")
            client.together {
                client.say(#"{"type":"leave","id":2}"#)
                client.say(#"{"type":"chat","id":3,"data":1}"#)
            }
            for id in 2...3 { #expect(try client.next("ack").member("id") == "\(id)") }
            try await eventually { server.subscribers(of: "plain") == 0 }
            try await eventually { await one.hub.statistics()[0].channels == 0 }
        }
    }

    @Test func `answers the publisher of a message that is lost on its way back`() async throws {
        try await withSharedNodes { server, one, _ in
            let client = try one.client("ada", "/plain")
            _ = try client.next("system")
            server.stop()
            async let published = one.hub.publish([.init(channel: "plain", opcode: .text, payload: Array("1".utf8))])
            try await Task.sleep(for: .milliseconds(50))
            one.broker.acceptingAfter { server.cut("plain", from: one.broker) { server.go() } }
            let start = ContinuousClock.now
            #expect(await published[0].refusal == nil)
            #expect(ContinuousClock.now - start < .seconds(5))
            #expect(try client.next("system").contains(#""event":"gap""#))
        }
    }

    @Test func `tells of a gap where the history does not reach back`() async throws {
        try await withSharedNodes { _, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            let late = (8...10).map { batch("lobby", "e1", $0, "\($0)") }
            one.broker.claim([.subscribed(channel: "lobby", .init(epoch: "e1", seq: 10), history: late)])
            let gap = try client.next("system")
            #expect(gap.contains(#""event":"gap""#) && gap.member("seq") == "7")
            for number in 8...10 { #expect(try client.next("chat").member("seq") == "\(number)") }
            // The same numbers again, and a hole.
            one.broker.claim([.delivered(late[2]), .delivered(batch("lobby", "e1", 11, "11"))])
            #expect(try client.next("chat").member("seq") == "11")
            one.broker.claim([.delivered(batch("lobby", "e1", 14, "14"))])
            #expect(try client.next("system").member("seq") == "13")
            #expect(try client.next("chat").member("seq") == "14")
            one.broker.claim([.delivered(batch("lobby", "e2", 3, "3"))])
            #expect(try client.next("system").contains(#""epoch":"e2","seq":2"#))
            #expect(try client.next("chat").member("seq") == "3")
        }
    }

    @Test func `takes no harm from a broker that makes no sense`() async throws {
        try await withSharedNodes { server, one, two in
            let client = try one.client("ada")
            _ = try client.next("system")
            func position(_ seq: UInt64, _ epoch: String = "e1") -> MessagePosition { .init(epoch: epoch, seq: seq) }
            func odd(_ seq: UInt64, _ count: Int, _ publications: [UInt8], _ epoch: String = "e1") -> DeliveredBatch {
                DeliveredBatch(
                    channel: "lobby", position: position(seq, epoch), numberedCount: count, node: one.broker.node,
                    number: 1, publications: publications)
            }
            let three = (1...3).flatMap { batch("lobby", "e1", $0, "\($0)").publications }
            let eternal = batch("lobby", "e1", 1, "1", time: .max).publications
            let names = ["e1", "", "\",\"x\":\"", "zzzzzzzzzzzzzzzzzzzzzz"]
            let seqs: [UInt64] = [0, 1, 2, 1 << 53, 1 << 62, .max - 1, .max]
            let counts = [Int.min, -1, 0, 1, 3, 1_000, .max]
            for name in names {
                for seq in seqs {
                    var events: [BrokerEvent] = []
                    for count in counts {
                        for bytes in [[], three, eternal, [1, 2, 3], Array(three.dropLast())] {
                            events.append(.delivered(odd(seq, count, bytes, name)))
                            events.append(
                                .subscribed(
                                    channel: "lobby", position(seq, name), history: [odd(seq, count, bytes, name)]))
                            events.append(
                                .renumbered(
                                    channel: "lobby", position(seq, name), history: [odd(seq, count, bytes, name)]))
                        }
                    }
                    events.append(.gap(channel: "lobby", position(seq, name)))
                    for number in [0, 1, UInt64.max] {
                        events.append(.accepted(channel: "lobby", number: number, position(seq, name)))
                        let refusal = BrokerRefusal(reason: "no", isUncertain: false)
                        events.append(.refused(channel: "lobby", number: number, refusal))
                        events.append(.members(channel: "lobby", token: number, nil))
                        events.append(.members(channel: "none", token: number << 6, []))
                    }
                    one.broker.claim(events + [.delivered(batch("none", "e1", 1, "1"))])
                }
            }
            // A message that is to be kept until the end of time.
            one.broker.claim([
                .renumbered(channel: "lobby", position(1), history: []),
                .delivered(batch("lobby", "e1", 2, "2", time: .max)),
            ])
            client.say(#"{"type":"ping","id":"p"}"#)
            while !(try client.text()).contains(#""id":"p""#) {}
            // It recovers once the broker does.
            one.broker.claim([.renumbered(channel: "lobby", position(0), history: [])])
            client.say(#"{"type":"chat","id":7,"data":"again"}"#)
            while !(try client.next("chat")).contains(#""seq":1,"data":"again""#) {}
            client.say(#"{"type":"history","id":8,"limit":10}"#)
            #expect(try client.next("ack").contains("again"))
        }
    }

    @Test func `says so if the broker goes back to an earlier number of the same numbering`() async throws {
        try await withSharedNodes { _, one, _ in
            let client = try one.client("ada")
            let epoch = try #require(try client.next("system").member("epoch")).dropFirst().dropLast()
            for number in 1...3 {
                client.say(#"{"type":"chat","id":\#(number),"data":\#(number)}"#)
                _ = try client.next("chat")
            }
            let position = MessagePosition(epoch: String(epoch), seq: 1)
            one.broker.claim([.subscribed(channel: "lobby", position, history: [])])
            let gap = try client.next("system")
            #expect(gap.contains(#""event":"gap""#) && gap.member("seq") == "1")
        }
    }

    @Test func `keeps the broker's history once a reload asks for one`() async throws {
        try await withSharedNodes { server, one, two in
            let writer = try two.client("bob")
            _ = try writer.next("system")
            let client = try one.client("ada", "/plain")
            _ = try client.next("system")
            writer.say(#"{"type":"join","id":0,"channel":"plain"}"#)
            _ = try writer.next("ack")
            var configuration = EngineConfiguration()
            configureShared(&configuration, one.broker)
            configuration.channelRules = ChannelRules([(ChannelPattern("*"), keepingSettings)])
            await one.hub.reconfigure(configuration)
            configureShared(&configuration, two.broker)
            configuration.channelRules = ChannelRules([(ChannelPattern("*"), keepingSettings)])
            await two.hub.reconfigure(configuration)
            for number in 1...3 {
                writer.say(#"{"type":"chat","id":\#(number),"channel":"plain","data":\#(number)}"#)
                _ = try writer.next("ack")
            }
            for number in 1...3 { #expect(try client.next("chat").member("data") == "\(number)") }
            #expect(server.limits(of: "plain", at: one.broker)?.messageCount == 7)
            client.say(#"{"type":"history","id":1}"#)
            #expect(try client.next("ack").contains(#""data":1"#))
        }
    }

    private var keepingSettings: ChannelSettings {
        var settings = ChannelSettings()
        settings.history = 7
        return settings
    }

    @Test func `takes no harm from odd users, and odd positions of what it publishes`() async throws {
        try await withSharedNodes { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            let members = [BrokerMember(user: "\"", nodeCount: -1, since: .min)]
            one.broker.answerOddly(members, MessagePosition(epoch: "\",\"x\":\"", seq: .max))
            client.say(#"{"type":"presence","id":1}"#)
            #expect(try client.next("ack").contains(#""user":"\"","connections":0"#))
            _ = try await one.hub.channel("lobby", limit: 1)
            client.say(#"{"type":"chat","id":2,"data":1}"#)
            #expect(!(try client.next("ack")).contains(#""x""#))
            let published = await one.hub.publish([.init(channel: "y", opcode: .text, payload: Array("1".utf8))])
            #expect(published[0].refusal == nil)
        }
    }
}

/// A batch of one client's message, as another node publishes it.
func batch(_ channel: String, _ epoch: String, _ seq: UInt64, _ payload: String, time: Int64 = 1_800_000_000_000)
    -> DeliveredBatch
{
    var writer = PublicationWriter()
    Array(payload.utf8).withUnsafeBytes { payload in
        writer.append(
            CarriedPublication(
                .chatJSON, time: time, user: UnsafeRawBufferPointer(start: nil, count: 0), payload: payload))
    }
    return DeliveredBatch(
        channel: channel, position: MessagePosition(epoch: epoch, seq: seq), numberedCount: 1,
        node: NodeID(rawValue: 7), number: seq, publications: writer.bytes)
}
