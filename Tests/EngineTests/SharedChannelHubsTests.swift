import Base
import Broker
import Channels
import Settings
import Testing
import WebSocket

@testable import Engine

/// Two hubs that share their channels under random schedules and faults, and what their clients get.
@Suite("Hubs that share channels", .blocking, .serialized)
struct SharedChannelHubsTests {
    private static let channels = ["lobby", "plain", "a", "b", "c"]

    /// A run: its clients, and what they say.
    private struct Run {
        var random: Seeded
        let server: MemoryServer
        let nodes: [SharedNode]
        let isHostile: Bool
        var chatters: [Chatter] = []
        /// Those that have left.
        var gone: [Chatter] = []
        var messageCount = 0
        var lossCount = 0

        mutating func pick<Element>(_ elements: [Element]) -> Element {
            elements[Int(random.next() % UInt64(elements.count))]
        }

        mutating func chance(_ count: UInt64) -> Bool { random.next() % count == 0 }

        mutating func data() -> String {
            messageCount += 1
            return "\"m\(messageCount)\""
        }

        mutating func say(_ chatter: Chatter) {
            guard !chatter.isRelay else { return chatter.say(String(data().dropFirst().dropLast())) }
            let channel = pick(SharedChannelHubsTests.channels)
            let place = "\"channel\":\"\(channel)\""
            switch random.next() % 16 {
            case 0...7:
                let data = data()
                chatter.ask(.chat(channel, data: data), "\"type\":\"chat\",\(place),\"data\":\(data)")
            case 8, 9: chatter.ask(.join(channel), "\"type\":\"join\",\(place)")
            case 10: chatter.ask(.leave(channel), "\"type\":\"leave\",\(place)")
            case 11: chatter.ask(.other, "\"type\":\"presence\",\(place)")
            case 12: chatter.ask(.other, "\"type\":\"history\",\(place)")
            case 13: chatter.ask(.other, "\"type\":\"ping\"")
            default: chatter.say("{\"type\":\"chat\",\(place),\"data\":\(data())}")
            }
        }

        mutating func fail() async throws {
            let node = pick(nodes)
            let channel = pick(SharedChannelHubsTests.channels)
            switch random.next() % 13 {
            case 0, 1: node.broker.acceptsLate.toggle()
            case 2:
                node.broker.refuses = true
                try await Task.sleep(for: .milliseconds(3))
                node.broker.refuses = false
            case 3:
                server.stop()
                try await Task.sleep(for: .milliseconds(chance(4) ? 1_300 : 20))
                server.go()
            case 4, 5:
                let later = (0..<20).map { _ in pick(chatters) }
                var run = self
                server.cut(channel, from: node.broker) { for chatter in later { run.say(chatter) } }
                self = run
            case 6:
                guard lossCount < 3, chance(3) else { break }
                lossCount += 1
                server.loseData()
            case 7: server.repeatSubscription(of: channel, at: node.broker)
            case 8:
                let later = (0..<20).map { _ in pick(chatters) }
                var run = self
                await node.broker.together {
                    for chatter in later { run.say(chatter) }
                    try? await Task.sleep(for: .milliseconds(3))
                }
                self = run
            case 9:
                let published = await node.hub.publish([
                    .init(channel: channel, opcode: .text, payload: Array(data().utf8)),
                    .init(channel: channel, opcode: .binary, payload: [1, 2, 3]),
                ])
                #expect(published.count == 2)
            case 10: _ = try? await node.hub.channel(channel, limit: 10)
            // As if something had been dropped here.
            case 11: node.broker.claim([.interrupted(channel: channel)])
            default: if isHostile { node.broker.claim((0..<20).map { _ in nonsense() }) }
            }
        }

        mutating func nonsense() -> BrokerEvent {
            let channel = pick(SharedChannelHubsTests.channels + ["nowhere"])
            let seq: UInt64 = pick([0, 1, 5, 100, .max / 2, .max])
            let position = MessagePosition(epoch: pick(["e1", "e9", "", "\"", "eeeeeeeeeeeeeeeeeeeee"]), seq: seq)
            var delivered = batch(channel, position.epoch, seq, "1", time: pick([0, .min, .max, 1_800_000_000_000]))
            delivered.numberedCount = pick([1, 0, -1, 2, .max])
            if chance(2) { delivered.node = pick(nodes).broker.node }
            switch random.next() % 7 {
            case 0: return .delivered(delivered)
            case 1: return .subscribed(channel: channel, position, history: [delivered, delivered])
            case 2: return .gap(channel: channel, position)
            case 3: return .renumbered(channel: channel, position, history: [delivered])
            case 4: return .accepted(channel: channel, number: random.next(), position)
            case 5: return .interrupted(channel: channel)
            default: return .members(channel: channel, token: random.next(), nil)
            }
        }

        /// Lets a client go, and another come in its place, who goes on from where it was.
        mutating func replace() async throws {
            let index = Int(random.next() % UInt64(chatters.count))
            let old = chatters[index]
            if !old.isRelay { try await waitForAnswers(to: old) }
            try await old.leave()
            gone.append(old)
            var since: MessagePosition?
            if !isHostile, !old.isRelay { since = old.outcome(random.seed).places["lobby"] }
            chatters[index] = try Chatter(pick(nodes), old.name, isRelay: old.isRelay, since: since)
        }

        func waitForAnswers(to chatter: Chatter) async throws {
            try await eventually { chatter.answerCount >= chatter.requests.count }
        }
    }

    private func play(isHostile: Bool, workerCount: Int, seed: UInt64) async throws {
        try await withSharedNodes({
            $0.workerCount = workerCount
            $0.brokerSettings.queueLimitByteCount = 64_000
            $0.limits.errorsPerMinute = 0
        }) { server, one, two in
            var run = Run(random: Seeded(seed: seed), server: server, nodes: [one, two], isHostile: isHostile)
            for number in 0..<8 {
                run.chatters.append(try Chatter([one, two][number % 2], "u\(number)", isRelay: number >= 6))
            }
            for round in 0..<100 {
                for _ in 0..<(run.random.next() % 30) { run.say(run.pick(run.chatters)) }
                if run.chance(2) { try await run.fail() }
                if run.chance(12) { try await run.replace() }
                if round % 8 == 0 { try await Task.sleep(for: .milliseconds(2)) }
            }
            server.go()
            for chatter in run.chatters where !chatter.isRelay { try await run.waitForAnswers(to: chatter) }
            if !isHostile { try await check(run) }
            for chatter in run.chatters + run.gone where isHostile && !chatter.isRelay {
                #expect(chatter.answerIDs == Array(0..<chatter.requests.count), "seed \(seed)")
            }
            for chatter in run.chatters { try await chatter.leave() }
            try await checkNothingIsLeft(run)
        }
    }

    /// Whether all members got all messages in one order.
    private func check(_ run: Run) async throws {
        let seed = run.random.seed
        for chatter in run.chatters where !chatter.isRelay {
            // The last messages of the channels that it is in are on their way.
            try await eventually {
                for (channel, place) in chatter.outcome(seed).places
                where run.server.position(of: channel).map({ $0 != place }) ?? (place.seq > 0) {
                    return false
                }
                return true
            }
        }
        var order: [String: String] = [:]
        var places: [String: String] = [:]
        let outcomes = (run.chatters + run.gone).filter { !$0.isRelay }.map { $0.outcome(seed) }
        for (channel, place, data) in outcomes.flatMap(\.messages) + outcomes.flatMap(\.acknowledged) {
            let key = "\(channel) \(place.epoch) \(place.seq)"
            #expect(order[key] ?? data == data, "two messages have one number: \(key), seed \(seed)")
            #expect(places[data] ?? key == key, "one message has two numbers: \(data), seed \(seed)")
            order[key] = data
            places[data] = key
        }
        for relay in run.chatters + run.gone where relay.isRelay {
            let tokens = relay.texts.compactMap { text in text.hasPrefix("{") ? text.member("data") : "\"\(text)\"" }
                .filter { $0.hasPrefix("\"m") }
            #expect(tokens.count == Set(tokens).count, "a message came twice, seed \(seed)")
            let keys = tokens.compactMap { places[$0] }.map { key in
                let parts = key.split(separator: " ")
                return (parts[1].count, Int(parts[2]) ?? 0)
            }
            #expect(zip(keys, keys.dropFirst()).allSatisfy { $0 < $1 }, "another order, seed \(seed)")
        }
    }

    /// Whether nothing is left of the channels once nobody is in them.
    private func checkNothingIsLeft(_ run: Run) async throws {
        for name in Self.channels { try await eventually { run.server.subscribers(of: name) == 0 } }
        for node in run.nodes {
            try await eventually {
                let all = await node.hub.statistics()
                return all.reduce(0) { $0 + $1.channels } == 0 && all[0].memory.used == 0
            }
        }
        for name in Self.channels { #expect(run.server.users(in: name).isEmpty, "seed \(run.random.seed)") }
    }

    @Test(arguments: [1, 3]) func `give their clients one order without a loss`(workerCount: Int) async throws {
        try await play(isHostile: false, workerCount: workerCount, seed: .random(in: 0 ... .max))
    }

    @Test(arguments: [1, 2])
    func `take nonsense from a broker, and leave nothing behind`(workerCount: Int) async throws {
        try await play(isHostile: true, workerCount: workerCount, seed: .random(in: 0 ... .max))
    }
}
