import Base
import Broker
import Channels
import Settings
import Testing
import WebSocket

@testable import Engine

/// Two hubs that share their channels, with real clients on both.
@Suite("A channel that a broker shares", .blocking)
struct SharedChannelTests {
    @Test(arguments: [false, true])
    func `has one order, and each message comes once`(acceptsLate: Bool) async throws {
        try await withSharedNodes { server, one, two in
            one.broker.acceptsLate = acceptsLate
            let clients = [try one.client("ada"), try one.client("bob"), try two.client("cyd")]
            for client in clients { _ = try client.next("system") }
            let perClient = 200
            for number in 0..<perClient {
                for (index, client) in clients.enumerated() {
                    client.say(#"{"type":"chat","id":\#(number),"data":"\#(index)-\#(number)"}"#)
                }
            }
            var seen: [[String]] = []
            for (index, client) in clients.enumerated() {
                var messages: [String] = []
                var acks: [Int] = []
                while messages.count < perClient * clients.count || acks.count < perClient {
                    let text = try client.text()
                    if text.contains(#""type":"ack""#) {
                        acks.append(try #require(text.member("id").flatMap(Int.init)))
                        // The acknowledgement comes before the message.
                        #expect(!messages.contains { $0.contains("\"\(index)-\(acks.last!)\"") })
                    }
                    if text.contains(#""type":"chat""#) { messages.append(text) }
                }
                #expect(acks == Array(0..<perClient))
                #expect(
                    messages.compactMap { $0.member("seq").flatMap(Int.init) }
                        == Array(1...(perClient * clients.count)))
                seen.append(messages)
            }
            #expect(seen[0] == seen[1])
            #expect(seen[0] == seen[2])
        }
    }

    @Test func `is subscribed while somebody is in it, on the nodes where that is`() async throws {
        try await withSharedNodes { server, one, two in
            #expect(server.subscribers(of: "lobby") == 0)
            let relay = try one.client("ada", "/ws")
            try await eventually { server.subscribers(of: "lobby") == 1 }
            let other = try two.client("bob")
            _ = try other.next("system")
            #expect(server.subscribers(of: "lobby") == 2)
            other.say(#"{"type":"chat","data":"hi"}"#)
            #expect(try relay.text().contains(#""data":"hi""#))
            relay.leave()
            try await eventually { server.subscribers(of: "lobby") == 1 }
            other.leave()
            try await eventually { server.subscribers(of: "lobby") == 0 }
        }
    }

    @Test func `gives a client of another node the messages that it has missed`() async throws {
        try await withSharedNodes { _, one, two in
            let writer = try one.client("ada")
            let epoch = try #require(try writer.next("system").member("epoch"))
            for number in 1...30 { writer.say(#"{"type":"chat","id":1,"data":\#(number)}"#) }
            for _ in 1...30 { _ = try writer.next("ack") }
            // Nobody is in the channel on this node yet.
            let reader = try TestClient(
                port: two.port, path: "/chat?token=bob&epoch=\(epoch.dropFirst().dropLast())&seq=10"
            )
            .opened()
            #expect(try reader.next("system").contains(#""seq":30,"recovered":true"#))
            for number in 11...30 { #expect(try reader.next("chat").member("data") == "\(number)") }
            reader.say(#"{"type":"history","id":"h","limit":3}"#)
            let page = try reader.next("ack")
            #expect(page.contains(#""data":30"#) && page.contains(#""data":28"#) && !page.contains(#""data":27}"#))
        }
    }

    @Test func `announces a user once, and lists the users of all nodes`() async throws {
        try await withSharedNodes { _, one, two in
            let witness = try two.client("witness")
            _ = try witness.next("system")
            let here = try one.client("ada")
            #expect(try witness.next("join").contains(#""from":"ada""#))
            let there = try two.client("ada")
            _ = try there.next("system")
            witness.say(#"{"type":"presence","id":1}"#)
            let users = try witness.next("ack")
            #expect(users.contains("ada") && users.contains("witness"))
            here.leave()
            here.shutDown()
            try await eventually { one.hub.connectionCount == 0 }
            there.leave()
            #expect(try witness.next("leave").contains(#""from":"ada""#))
            witness.say(#"{"type":"presence","id":2}"#)
            #expect(!(try witness.next("ack")).contains("ada"))
        }
    }

    @Test(arguments: [1, 3]) func `opens a relay client when the broker delivers its channel`(
        workerCount: Int
    ) async throws {
        try await withSharedNodes({
            $0.workerCount = workerCount
            $0.subscriptionPatience = .seconds(120)
        }) { server, one, two in
            for round in 0..<5 {
                @Sendable func hear() async throws -> String {
                    let client = try one.client("ada", "/ws")
                    _ = await two.hub.publish([
                        .init(channel: "lobby", opcode: .text, payload: Array("\(round)".utf8))
                    ])
                    defer { client.shutDown() }
                    return try client.text()
                }
                one.broker.delaySubscriptions()
                async let heard = hear()
                try await eventually { one.broker.delayedCount > 0 }
                try await Task.sleep(for: .milliseconds(20))
                one.broker.subscribeDelayed()
                #expect(try await heard == "\(round)")
                try await eventually { server.subscribers(of: "lobby") == 0 }
            }
        }
    }

    @Test func `keeps no relay client out while the broker does not work`() async throws {
        try await withSharedNodes({ $0.subscriptionPatience = .milliseconds(50) }) { server, one, two in
            server.stop()
            // It does not answer.
            let first = try one.client("ada", "/ws")
            server.go()
            try await eventually { server.subscribers(of: "lobby") == 1 }
            // It says that it does not work. Nobody waits then, however long.
            try await withSharedNodes({ $0.subscriptionPatience = .seconds(120) }) { server, one, two in
                one.broker.claim([.health(.down(reason: "it was told to", since: 0))])
                server.stop()
                let second = try one.client("ada", "/ws")
                server.go()
                try await eventually { server.subscribers(of: "lobby") == 1 }
                _ = await two.hub.publish([.init(channel: "lobby", opcode: .text, payload: Array("x".utf8))])
                #expect(try second.text() == "x")
            }
            withExtendedLifetime(first) {}
        }
    }

    @Test(arguments: [1, 3]) func `tells no user of the user's own coming`(workerCount: Int) async throws {
        try await withSharedNodes({ $0.workerCount = workerCount }) { server, one, two in
            let witness = try two.client("witness")
            _ = try witness.next("system")
            try await eventually { server.users(in: "lobby") == ["witness"] }
            // The broker says it when all of them are members.
            var there: [TestClient] = []
            try await two.broker.together {
                for _ in 0..<3 { there.append(try two.client("ada")) }
                for client in there { _ = try client.next("system") }
                try await eventually { server.users(in: "lobby") == ["witness", "ada"] }
            }
            let here = try one.client("ada")
            _ = try here.next("system")
            let bob = try one.client("bob")
            _ = try bob.next("system")
            for user in ["ada", "bob"] { #expect(try witness.next("join").member("from") == "\"\(user)\"") }
            witness.say(#"{"type":"chat","data":1}"#)
            for client in there + [here] {
                #expect(try client.text().contains(#""type":"join","channel":"lobby","from":"bob""#))
                #expect(try client.text().contains(#""type":"chat""#))
            }
            #expect(try bob.text().contains(#""type":"chat""#))
        }
    }

    @Test func `withdraws its users when presence is turned off, and brings them when it is turned on`() async throws {
        try await withSharedNodes { server, one, _ in
            let clients = [try one.client("ada"), try one.client("bob")]
            for client in clients { _ = try client.next("system") }
            try await eventually { server.users(in: "lobby") == ["ada", "bob"] }
            var without = EngineConfiguration()
            configureShared(&without, one.broker)
            without.channelRules = ChannelRules([(ChannelPattern("none"), ChannelSettings())])
            await one.hub.reconfigure(without)
            try await eventually { server.users(in: "lobby").isEmpty }
            var with = EngineConfiguration()
            configureShared(&with, one.broker)
            await one.hub.reconfigure(with)
            try await eventually { server.users(in: "lobby") == ["ada", "bob"] }
            withExtendedLifetime(clients) {}
        }
    }

    @Test func `refuses a message that the broker does not take, and keeps the client`() async throws {
        try await withSharedNodes { _, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            one.broker.refuses = true
            client.say(#"{"type":"chat","id":7,"data":1}"#)
            let error = try client.next("error")
            #expect(error.contains(#""id":7"#) && error.contains("unavailable") && error.contains("it was told to"))
            let published = await one.hub.publish([.init(channel: "lobby", opcode: .text, payload: Array("x".utf8))])
            #expect(published[0].refusal?.contains("it was told to") ?? false)
            one.broker.refuses = false
            client.say(#"{"type":"chat","id":8,"data":2}"#)
            #expect(try client.next("ack").contains(#""id":8"#))
        }
    }

    @Test func `lets clients wait while the queue is full, and refuses others`() async throws {
        try await withSharedNodes({ $0.brokerSettings.queueLimitByteCount = 10_000 }) { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            server.stop()
            let text = String(repeating: "x", count: 5_000)
            for number in 1...9 { client.say(#"{"type":"chat","id":\#(number),"data":"\#(text)"}"#) }
            try await eventually { Statistics(total: await one.hub.statistics()).memory.broker > 10_000 }
            let message = Hub.Message(channel: "lobby", opcode: .text, payload: Array("x".utf8))
            let refusal = await one.hub.publish([message])[0].refusal
            #expect(refusal?.contains("broker.queue_limit") ?? false)
            server.go()
            for number in 1...9 { #expect(try client.next("ack").contains(#""id":\#(number)"#)) }
        }
    }

    @Test func `counts towards the queue only what the broker has not taken`() async throws {
        try await withSharedNodes { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            server.cut("lobby", from: one.broker)
            let text = String(repeating: "x", count: 50_000)
            for number in 1...5 {
                client.say(#"{"type":"chat","id":\#(number),"data":"\#(text)"}"#)
                #expect(try client.next("ack").contains(#""id":\#(number)"#))
            }
            // None has come back.
            #expect(one.hub.brokerQueueByteCount == 0)
            let kept = Statistics(total: await one.hub.statistics()).memory.broker
            #expect(0 < kept && kept < 10_000)
        }
    }

    @Test func `tells the members of a gap, and of a new numbering`() async throws {
        try await withSharedNodes { server, one, two in
            let client = try one.client("ada")
            _ = try client.next("system")
            let other = try two.client("bob")
            _ = try other.next("system")
            server.cut("lobby", from: one.broker) {
                for number in 1...5 { other.say(#"{"type":"chat","id":\#(number),"data":\#(number)}"#) }
                for _ in 1...5 { _ = try? other.next("ack") }
            }
            let gap = try client.next("system")
            #expect(gap.contains(#""event":"gap""#) && gap.contains(#""seq":5"#))
            other.say(#"{"type":"chat","data":6}"#)
            #expect(try client.next("chat").contains(#""seq":6"#))
            server.loseData()
            #expect(try client.next("system").contains(#""epoch":"e1x","seq":0"#))
            other.say(#"{"type":"chat","data":7}"#)
            #expect(try client.next("chat").contains(#""seq":1"#))
        }
    }

    @Test func `takes the messages of other programs, and no damage`() async throws {
        try await withSharedNodes { server, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            func publish(_ kind: CarriedPublication.Kind, _ payload: [UInt8]) {
                var writer = PublicationWriter()
                payload.withUnsafeBytes { payload in
                    writer.append(
                        CarriedPublication(
                            kind, time: 1, user: UnsafeRawBufferPointer(start: nil, count: 0), payload: payload))
                }
                server.publish("lobby", writer.bytes)
            }
            publish(.systemJSON, Array(#"{"a":1}"#.utf8))
            publish(.systemJSON, Array(#"}"#.utf8))
            publish(.systemText, [0xFF])
            server.publish("lobby", [0x78, 1, 2])
            publish(.chatText, Array("end".utf8))
            #expect(try client.next("system").contains(#""seq":1,"data":{"a":1}"#))
            #expect(try client.next("system").contains(#""seq":2,"data":null"#))
            #expect(try client.next("system").contains(#""seq":3,"data":null"#))
            #expect(try client.next("chat").contains(#""seq":5,"data":"end""#))
        }
    }

    @Test func `gives a relay client its own message before its close`() async throws {
        try await withSharedNodes { _, one, _ in
            for _ in 0..<50 {
                let client = try one.client("ada", "/ws")
                client.say("last words")
                client.leave()
                #expect(try client.text() == "last words")
                #expect(try client.frame().opcode == 8)
            }
        }
    }

    @Test func `answers in the order of the requests, also to several channels`() async throws {
        try await withSharedNodes { _, one, _ in
            let client = try one.client("ada")
            _ = try client.next("system")
            var id = 0
            for round in 0..<20 {
                client.say(#"{"type":"join","id":\#(id),"channel":"r\#(round)"}"#)
                client.say(#"{"type":"chat","id":\#(id + 1),"channel":"r\#(round)","data":1}"#)
                client.say(#"{"type":"chat","id":\#(id + 2),"data":1}"#)
                client.say(#"{"type":"ping","id":\#(id + 3)}"#)
                client.say(#"{"type":"presence","id":\#(id + 4)}"#)
                client.say(#"{"type":"history","id":\#(id + 5),"channel":"r\#(round)"}"#)
                id += 6
            }
            for expected in 0..<id { #expect(try client.next("ack").member("id") == "\(expected)") }
        }
    }
}
