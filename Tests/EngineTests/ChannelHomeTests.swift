import Base
import Broker
import Channels
import Settings
import Testing
import WebSocket

@testable import Engine

/// Without sockets: what a channel's home puts in order, keeps and says.
@Suite("A channel's home")
struct ChannelHomeTests {
    /// A home with the clock and the text that a worker lends it.
    private final class Bench {
        let home: ChannelHome
        let cost = HistoryCost(ByteMeter())
        var text = MessageText()
        var now: Int64 = 1_000_000
        var acknowledged: [(ConnectionReference, String)] = []

        init(_ encodings: Encoding.Set = .any(.json), _ change: (inout ChannelSettings) -> Void = { _ in }) {
            var settings = ChannelSettings()
            change(&settings)
            home = ChannelHome(name: "room", settings: settings, frames: ByteMeter(), history: cost)
            home.encodingsHere = encodings
        }

        @discardableResult
        func publish(
            _ origin: Origin, _ data: String, _ opcode: Opcode = .text, sender: ConnectionReference? = nil,
            id: String = "", from: String = ""
        ) -> MessagePosition? {
            var batch = PublicationBatch()
            var data = data
            var id = id
            var from = from
            data.withUTF8 { data in
                id.withUTF8 { id in
                    from.withUTF8 { from in
                        batch.append(
                            Publication(
                                form: origin.form(data), opcode: opcode, senderProtocol: origin.clientProtocol,
                                sender: sender,
                                from: UnsafeRawBufferPointer(from),
                                id: UnsafeRawBufferPointer(id), data: UnsafeRawBufferPointer(data)))
                    }
                }
            }
            // As between workers: what is written down and read back is the same.
            var position: MessagePosition?
            batch.forEach { publication in
                position = home.publish(publication, at: now, &text) { connection, answer in
                    acknowledged.append((connection, String(decoding: answer, as: UTF8.self)))
                }
            }
            return position
        }

        /// What members of a protocol are sent, and who is left out of what.
        func delivered(_ clientProtocol: ClientProtocol = .json) -> [String] {
            ChannelHomeTests.texts(home.takeDelivery(at: 0).0[Encoding(clientProtocol)])
        }

        func enter(_ user: String) -> Bool { home.enter(user, at: now, &text) }
        func leave(_ user: String, isLost: Bool = false, countedUnder generation: UInt32 = 1) {
            home.leave(user, isLost: isLost, at: now, countedUnder: generation, &text)
        }
    }

    private static func texts(_ segment: Segment?) -> [String] {
        var texts: [String] = []
        segment?.forEachFrame { _, payload in texts.append(String(decoding: payload, as: UTF8.self)) }
        return texts
    }

    /// Who publishes.
    enum Origin {
        case relay, json, system, systemText

        var clientProtocol: ClientProtocol? {
            switch self {
            case .relay: .relay
            case .json: .json
            case .system, .systemText: nil
            }
        }

        func form(_ data: UnsafeBufferPointer<UInt8>) -> NumberedPublication.Form {
            switch self {
            case .relay: .chatText
            case .json: .chatJSON
            case .systemText: .systemText
            case .system:
                Hub.Message(channel: "", opcode: .text, payload: Array(data)).form
            }
        }
    }

    private let alice = ConnectionReference(worker: 1, slot: 2, generation: 3)

    @Test func `says a message in the words of each protocol that is in use, and in no other`() {
        let both = Encoding.Set([Encoding.Set(Encoding(.relay)), Encoding.Set(Encoding(.json))])
        let bench = Bench(both)
        bench.publish(.relay, "a \"word\"")
        bench.publish(.json, "{\"x\":1}")
        bench.publish(.system, "[1]")
        bench.publish(.systemText, "[1]")
        let delivery = bench.home.takeDelivery(at: 0).0
        let json = Self.texts(delivery[Encoding(.json)])
        let relay = Self.texts(delivery[Encoding(.relay)])
        #expect(json.count == 4 && relay.count == 4)
        #expect(relay[0] == "a \"word\"" && relay[1] == json[1] && relay[2] == "[1]" && relay[3] == "[1]")
        #expect(json[0].hasSuffix(#""seq":1,"data":"a \"word\""}"#) && json[1].hasSuffix(#""seq":2,"data":{"x":1}}"#))
        #expect(json[2].hasSuffix(#""seq":3,"data":[1]}"#) && json[3].hasSuffix(#""seq":4,"data":"[1]"}"#))
        #expect(json.map { $0.hasPrefix(#"{"type":"chat""#) } == [true, true, false, false])

        let relayOnly = Bench(.any(.relay))
        #expect(relayOnly.publish(.relay, "x") == nil)
        #expect(relayOnly.home.room == nil)
        #expect(relayOnly.delivered(.relay) == ["x"])
        #expect(relayOnly.publish(.json, "1", sender: alice, id: "7")?.seq == 1, "its client wants to know the number")
        #expect(relayOnly.acknowledged.count == 1)
        #expect(relayOnly.delivered(.relay).count == 1)
    }

    @Test func `numbers what can be said in JSON, and nothing else`() {
        let bench = Bench([Encoding.Set(Encoding(.relay)), Encoding.Set(Encoding(.json))])
        #expect(bench.publish(.relay, "x")?.seq == 1)
        #expect(bench.publish(.relay, "\u{1}", .binary) == nil)
        #expect(bench.publish(.json, "2")?.seq == 2)
        #expect(bench.home.hasDelivery)
        let delivery = bench.home.takeDelivery(at: 0).0
        #expect(Self.texts(delivery[Encoding(.relay)]).count == 3 && Self.texts(delivery[Encoding(.json)]).count == 2)
        #expect(!bench.home.hasDelivery)
    }

    @Test func `acknowledges a message that has an id, with its place, before it is delivered`() throws {
        let bench = Bench()
        let position = try #require(bench.publish(.json, "1", sender: alice, id: "7"))
        bench.publish(.json, "1", sender: alice)
        #expect(bench.acknowledged.count == 1)
        let (connection, ack) = try #require(bench.acknowledged.first)
        #expect(connection == alice)
        #expect(ack.hasPrefix(#"{"type":"ack","id":7,"channel":"room","epoch":"\#(position.epoch)","seq":1,"time":"#))
    }

    @Test func `leaves the sender out where echo is off, whoever else hears it`() {
        let bench = Bench(.any(.json)) { $0.echo = false }
        bench.publish(.json, "1", sender: alice)
        bench.publish(.system, "2")
        bench.publish(.json, "3", sender: alice)
        let delivery = bench.home.takeDelivery(at: 0).0
        #expect(delivery.exclusions.map(\.frame) == [0, 2])
        #expect(
            delivery.exclusions.allSatisfy { exclusion in
                if case .sender(alice) = exclusion.excluded { true } else { false }
            })

        // Nobody hears it: there is no frame to leave out, and the next message is not taken for it.
        let silent = Bench([]) { $0.echo = false }
        silent.publish(.json, "1", sender: alice)
        silent.home.encodingsHere = .any(.json)
        silent.publish(.json, "2")
        #expect(silent.home.takeDelivery(at: 0).0.exclusions.isEmpty)
    }

    @Test func `announces a user once, whatever its connections, and not those who come back in time`() {
        let bench = Bench(.any(.json)) {
            $0.joinLeave = true
            $0.leaveDelay = .milliseconds(100)
        }
        #expect(bench.enter("alice") && bench.enter("alice"))
        #expect(bench.delivered().map { $0.hasPrefix(#"{"type":"join""#) } == [true])
        bench.leave("alice")
        #expect(bench.delivered().isEmpty)
        bench.leave("alice", isLost: true)
        bench.now += 50
        bench.home.expire(at: bench.now, &bench.text)
        #expect(bench.enter("alice") && bench.delivered().isEmpty)
        bench.leave("alice", isLost: true)
        bench.now += 101
        bench.home.expire(at: bench.now, &bench.text)
        #expect(bench.delivered().map { $0.hasPrefix(#"{"type":"leave""#) } == [true])
    }

    @Test func `lets in as many as max_members says, and counts anew where settings change that`() {
        let bench = Bench(.any(.json)) { $0.maxMembers = 2 }
        #expect(bench.enter("a") && bench.enter("b") && !bench.enter("c"))
        bench.leave("a")
        #expect(bench.enter("c") && !bench.enter("d"))
        // From configuration 5 on nobody is tracked, from 6 on everybody again.
        bench.home.apply(ChannelSettings(), generation: 5, at: bench.now)
        var limited = ChannelSettings()
        limited.maxMembers = 2
        bench.home.apply(limited, generation: 6, at: bench.now)
        // Those of before are counted again; who leaves before it was is not taken off.
        bench.home.recount("c", at: bench.now, countedUnder: 1)
        bench.leave("b", countedUnder: 1)
        #expect(bench.enter("e") && !bench.enter("f"))
        bench.home.recount("e", at: bench.now, countedUnder: 6)
        bench.leave("c", countedUnder: 6)
        #expect(bench.enter("g") && !bench.enter("h"))
    }

    @Test func `tells the broker of users who are counted anew that only their leaving is announced`() {
        var settings = ChannelSettings()
        settings.presence = true
        settings.joinLeave = true
        let home = ChannelHome(
            name: "room", settings: settings, isShared: true, frames: ByteMeter(), history: HistoryCost(ByteMeter()))
        home.take(nil, countedSince: 1)
        home.recount("ada", at: 5, countedUnder: 0)
        let expected = PresenceChange(
            channel: "room", user: "ada", isPresent: true, isAnnounced: true, isSilent: true, time: 5)
        #expect(home.shared?.presenceChanges == [expected])
    }

    @Test func `is unused once nobody hears it, nothing is kept and nothing waits`() {
        let bench = Bench([]) { $0.keepHistory(messageCount: 1, age: 100, byteCount: 1_000) }
        #expect(bench.home.isUnused)
        bench.publish(.system, "1")
        #expect(!bench.home.isUnused)
        _ = bench.home.takeDelivery(at: 0)
        #expect(!bench.home.isUnused && bench.cost.byteCount > 0)
        bench.now += 101
        bench.home.expire(at: bench.now, &bench.text)
        #expect(bench.home.isUnused && bench.cost.byteCount == 0)
        bench.home.setEncodings(.any(.relay), ofWorker: 3)
        #expect(!bench.home.isUnused && bench.home.interested == 1 << 3)
        bench.home.setEncodings([], ofWorker: 3)
        #expect(bench.home.isUnused)
    }

    /// What is kept is no protocol's text, so it is said again: for an answer, and for one who missed it.
    @Test(arguments: UInt64(1)...20)
    func `says a message later as it said it at first, byte for byte`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        let bench = Bench(.any(.json)) {
            $0.keepHistory(messageCount: 200, age: 1_000, byteCount: 1 << 20)
        }
        let values = [
            "1.50", "-0", "1E400", "\"\\u00e9\"", " [ 1 , {\"a\" : null} ] ", "not JSON", "a\"b\\c\n\u{1}é",
            "{\"x\":1}x", "",
        ]
        let names = ["", "alice", "o\"brien\\", "müller", "guest-8z3k0p5q"]
        for _ in 0..<100 {
            bench.now += Int64.random(in: 0...7, using: &random)
            let origin = [Origin.relay, .json, .system, .systemText][Int.random(in: 0..<4, using: &random)]
            // A `json` client's data is a JSON value.
            let value = values[Int.random(in: 0..<(origin == .json ? 5 : values.count), using: &random)]
            bench.publish(origin, value, from: names[Int.random(in: 0..<names.count, using: &random)])
        }
        let said = bench.delivered()
        #expect(said.count == 100)

        let question = Question(
            subject: .history(before: nil, limit: 1_000), connection: alice, id: Array("1".utf8))
        bench.home.answer(question, at: bench.now, &bench.text)
        let answer = String(decoding: bench.text.bytes, as: UTF8.self)
        let rest = "\"messages\":[\(said.joined(separator: ","))],\"more\":false}"
        #expect(Array(answer.utf8.suffix(rest.utf8.count)) == Array(rest.utf8), "seed \(seed)")

        let since = UInt64.random(in: 0..<100, using: &random)
        let position = MessagePosition(epoch: bench.home.room?.epoch ?? "", seq: since)
        guard case .joined(_, _, true, let missed?) = bench.home.place(since: position, at: bench.now) else {
            Issue.record("nothing is missed after \(since)")
            return
        }
        let backlog = Backlog(now: 0)
        backlog.append(missed: missed)
        backlog.fetchMissed(ByteMeter(), &bench.text)
        let recovered = backlog.waiting.flatMap { Self.texts($0.segment) }
        #expect(recovered.map { Array($0.utf8) } == said.dropFirst(Int(since)).map { Array($0.utf8) }, "seed \(seed)")
    }

    @Test func `answers with as much history as there is room for, however it is written`() {
        let bench = Bench(.any(.json)) {
            $0.keepHistory(messageCount: 999, age: 1_000, byteCount: 1 << 24)
        }
        // As a string, each of these bytes takes six.
        for _ in 0..<20 { bench.publish(.relay, String(repeating: "\u{1}", count: 10_000)) }
        let said = bench.delivered()
        let question = Question(subject: .history(before: nil, limit: 1_000), connection: alice, id: [0x31])
        bench.home.answer(question, at: bench.now, &bench.text)
        let answer = String(decoding: bench.text.bytes, as: UTF8.self)
        #expect(answer.hasSuffix("\"messages\":[\(said.suffix(4).joined(separator: ","))],\"more\":true}"))
    }

    /// Random publishers, members and reloads against a plain model of what is numbered, kept and told.
    @Test(arguments: 0..<20)
    func agreesWithAModel(seed: UInt64) {
        var random = Seeded(seed: seed)
        let limit = Int.random(in: 0...8, using: &random)
        let age = Int64.random(in: 50...500, using: &random)
        let bench = Bench(.any(.json)) {
            $0.keepHistory(messageCount: limit, age: age, byteCount: 1 << 20)
            $0.presence = true
            $0.joinLeave = true
            $0.leaveDelay = .zero
        }
        var kept: [(seq: UInt64, time: Int64)] = []
        var seq: UInt64 = 0
        var users: [String: Int] = [:]
        var expected: [String] = []
        for step in 0..<600 {
            bench.now += Int64.random(in: 0...20, using: &random)
            kept.removeAll { $0.time + age <= bench.now }
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                seq += 1
                #expect(bench.publish(.json, "\(step)")?.seq == seq, "seed \(seed), step \(step)")
                expected.append("chat \(seq)")
                if limit > 0 { kept.append((seq, bench.now)) }
                if kept.count > limit { kept.removeFirst(kept.count - limit) }
            case 4..<6:
                let user = "u\(Int.random(in: 0..<4, using: &random))"
                #expect(bench.enter(user))
                if users[user, default: 0] == 0 { expected.append("join \(user)") }
                users[user, default: 0] += 1
            case 6..<8:
                guard let user = users.keys.sorted().randomElement(using: &random) else { continue }
                bench.leave(user, isLost: Bool.random(using: &random))
                users[user, default: 0] -= 1
                if users[user] == 0 {
                    users[user] = nil
                    expected.append("leave \(user)")
                }
            case 8:
                let since = UInt64.random(in: 0...(seq + 2), using: &random)
                let epoch = bench.home.room?.epoch ?? ""
                let place = bench.home.place(since: MessagePosition(epoch: epoch, seq: since), at: bench.now)
                guard case .joined(_, let told, let isRecovered, let missed) = place else { continue }
                let covered = since == seq || since < seq && kept.first.map { $0.seq <= since + 1 } ?? false
                // A room that is made for the question has an epoch that nobody knew.
                #expect(told == seq && (epoch.isEmpty || isRecovered == covered), "seed \(seed), step \(step)")
                #expect(
                    (missed?.messageCount ?? 0) == (isRecovered ? Int(seq - since) : 0), "seed \(seed), step \(step)")
            default:
                let told = bench.delivered().map(Self.summary)
                #expect(told == expected, "seed \(seed), step \(step)")
                expected = []
            }
            #expect(
                bench.home.room.map { room in
                    Dictionary(uniqueKeysWithValues: room.presence.users.map { ($0.user, $0.connections) }) == users
                } ?? users.isEmpty, "seed \(seed), step \(step)")
        }
    }

    /// The type of a message, and its number or user.
    private static func summary(_ text: String) -> String {
        func value(_ key: String, _ end: Character) -> Substring {
            var rest = text[...]
            while !rest.isEmpty, !rest.hasPrefix(key) { rest = rest.dropFirst() }
            return rest.dropFirst(key.count).prefix { $0 != end }
        }
        let type = value("\"type\":\"", "\"")
        return type == "chat" ? "chat \(value("\"seq\":", ","))" : "\(type) \(value("\"from\":\"", "\""))"
    }
}
