import Base
import Broker
import ClusterControl
import Control
import Synchronization
import Testing
import Varlink

@Suite("The messages between nodes")
struct MessageTests {
    private let exchange = Exchange()
    private let all = ConnectionFilter(all: true)

    private func kick(_ cluster: Cluster) async throws -> Kick.Reply {
        try await cluster.kick(all, reason: CloseReason(code: 1008, text: ""), by: .client(address: "a"))
    }

    /// Sends bytes to a node of its own, and returns what that answers.
    private func answer(to message: String) async throws -> [String: VarlinkValue] {
        let answers = Mutex<[[UInt8]]>([])
        exchange.add(1, MemoryBackend(count: 2))
        exchange.intercept { message in
            answers.withLock { $0.append(message.bytes) }
            return []
        }
        exchange.deliver(Array(message.utf8), from: Exchange.id(9), to: 1)
        while answers.withLock(\.isEmpty) { try await Task.sleep(for: .milliseconds(1)) }
        return try VarlinkJSON.decode([String: VarlinkValue].self, from: answers.withLock { $0[0] })
    }

    @Test("have the form that nodes of every version share")
    func form() async throws {
        #expect(
            try await answer(to: #"{"v":1,"id":7,"node":"b","method":"Show","parameters":{"id":"x"},"new":1}"#)
                == ["v": 1, "id": 7, "parameters": .object([:])])
    }

    @Test(
        "are answered with an error if they ask for what this node does not know",
        arguments: [
            (#"{"v":1,"id":7,"method":"Fly"}"#, "org.varlink.service.MethodNotFound"),
            (#"{"v":2,"id":7,"method":"Show","parameters":{"id":"x"}}"#, "io.wsd.Cluster.OtherVersion"),
            (#"{"v":1,"id":7,"method":"Show","parameters":{"id":"x","y":1}}"#, "org.varlink.service.InvalidParameter"),
            (#"{"v":1,"id":7,"method":"Show"}"#, "org.varlink.service.InvalidParameter"),
            (
                #"{"v":1,"id":7,"method":"Kick","parameters":{"filter":{},"code":1008,"reason":"","caller":{}}}"#,
                "io.wsd.Cluster.NothingSelected"
            ),
            (
                #"{"v":1,"id":7,"method":"Kick","parameters":{"filter":{"x":1},"code":1,"reason":"","caller":{}}}"#,
                "org.varlink.service.InvalidParameter"
            ),
            (
                #"{"v":1,"id":7,"method":"Kick","parameters":{"filter":{"all":true},"code":5,"reason":"","caller":{}}}"#,
                "io.wsd.Cluster.InvalidCloseCode"
            ),
            (
                #"{"v":1,"id":7,"method":"Broadcast","parameters":{"message":"","channel":"a","isPlainText":false,"#
                    + #""caller":{}}}"#, "org.varlink.service.InvalidParameter"
            ),
            (#"{"v":1,"id":7,"method":"List","parameters":{"limit":0}}"#, "org.varlink.service.InvalidParameter"),
            (#"{"v":1,"id":7,"method":"List","parameters":{"after":"x"}}"#, "org.varlink.service.InvalidParameter"),
        ])
    func errors(_ message: String, _ error: String) async throws {
        let answer = try await answer(to: message)
        #expect(answer["error"] == .string(error) && answer["id"] == 7)
    }

    @Test(
        "are dropped and counted if they are none",
        arguments: [
            "", "{", "[]", "null", "7", #"{"v":1}"#, #"{"id":1}"#, #"{"v":1,"id":0}"#,
            #"{"v":1,"id":-1,"method":"Kick"}"#,
            #"{"v":"1","id":1}"#, #"{"v":1,"id":1.5}"#, #"{"v":1,"id":1e99}"#, #"{"v":1,"id":1,"method":7}"#,
        ])
    func malformed(_ message: String) async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 2))
        cluster.take(Array(message.utf8), from: Exchange.id(9))
        while cluster.counts.dropped == 0 { try await Task.sleep(for: .milliseconds(1)) }
        #expect(exchange.passed == 0)
        #expect(try await kick(cluster).connections == 2)
    }

    @Test("are dropped and counted if they are bytes of any kind")
    func noise() async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 2))
        let good = Array(#"{"v":1,"id":7,"node":"b","method":"Show","parameters":{"id":"x"}}"#.utf8)
        for position in good.indices {
            var message = good
            message[position] ^= UInt8.random(in: 1...255)
            cluster.take(message, from: Exchange.id(9))
            cluster.take(Array(good[..<position]), from: Exchange.id(9))
        }
        #expect(try await kick(cluster).connections == 2)
        while cluster.counts.dropped < good.count { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("that nobody waits for are ignored: of other nodes, of unknown numbers, a second time, too late")
    func strangers() async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 0))
        exchange.add(2, MemoryBackend(count: 3))
        exchange.intercept { message in
            guard message.to == Exchange.id(1) else { return [message] }
            var lie = message
            lie.from = Exchange.id(9)
            var other = message
            other.bytes = Array(#"{"v":1,"id":99,"parameters":{"connections":100}}"#.utf8)
            return [lie, other, message, message]
        }
        #expect(try await kick(cluster) == Kick.Reply(connections: 3, silent: []))
        while cluster.counts.ignored < 3 { try await Task.sleep(for: .milliseconds(1)) }
        #expect(cluster.counts.ignored == 3)
    }

    @Test("that get lost make a node silent, and nothing else")
    func loss() async throws {
        let cluster = exchange.add(1, MemoryBackend(count: 0))
        exchange.add(2, MemoryBackend(count: 3))
        exchange.add(3, MemoryBackend(count: 4))
        exchange.intercept { $0.to == Exchange.id(2) ? [] : [$0] }
        #expect(try await kick(cluster) == Kick.Reply(connections: 4, silent: ["node-2"]))
        exchange.intercept { $0.from == Exchange.id(2) ? [] : [$0] }
        #expect(try await kick(cluster) == Kick.Reply(connections: 0, silent: ["node-2"]))
    }

    @Test("of a silent node are waited for once, until it is heard of again")
    func mute() async throws {
        var limits = Cluster.Limits()
        limits.patience = .seconds(3)
        limits.patienceWithMute = .seconds(3)
        let cluster = exchange.add(1, MemoryBackend(count: 0), limits)
        exchange.add(2, MemoryBackend(count: 0))
        exchange.add(3, MemoryBackend(count: 0))
        exchange.intercept { $0.to == Exchange.id(2) ? [] : [$0] }
        let start = ContinuousClock.now
        for _ in 0..<60 { #expect(try await kick(cluster).silent == ["node-2"]) }
        // Once is three seconds, and each time three minutes.
        #expect(ContinuousClock.now - start < .seconds(150))
        exchange.intercept { [$0] }
        while try await kick(cluster).silent != [] {}
    }

    @Test("with an answer that can't be understood, or an error, name the node and the reason")
    func failures() async throws {
        let reports = Mutex<[String]>([])
        let cluster = exchange.add(1, MemoryBackend(count: 0)) { text in reports.withLock { $0.append(text) } }
        exchange.add(2, MemoryBackend(count: 3))
        for answer in [#""parameters":{"connections":"many"}"#, #""error":"io.wsd.Cluster.Busy""#] {
            exchange.intercept { message in
                guard message.to == Exchange.id(1) else { return [message] }
                var message = message
                let head = try? VarlinkJSON.decode([String: VarlinkValue].self, from: message.bytes)
                message.bytes = Array(#"{"v":1,"id":\#(head?["id"] ?? 0),\#(answer)}"#.utf8)
                return [message]
            }
            #expect(try await kick(cluster) == Kick.Reply(connections: 0, silent: ["node-2"]))
        }
        #expect(
            reports.withLock { $0 } == [
                "node node-2 could not answer Kick: io.wsd.Cluster.NotUnderstood(reason: 'parameters.connections' has "
                    + "the wrong type)",
                "node node-2 could not answer Kick: io.wsd.Cluster.Busy",
            ])
    }

    @Test("are no more and no larger than they may be: a flood is dropped, and the node goes on")
    func flood() async throws {
        var limits = Cluster.Limits()
        limits.messageByteCount = 1 << 20
        limits.messagesTaken = 10
        limits.bytesTaken = 2 << 20
        limits.answers = 2
        limits.patience = .seconds(1)
        let cluster = exchange.add(1, MemoryBackend(count: 0), limits)
        exchange.add(2, MemoryBackend(count: 3))
        cluster.take([UInt8](repeating: 0x20, count: 1 << 20 + 1), from: Exchange.id(2))
        #expect(cluster.counts.dropped == 1)
        let large =
            Array(#"{"v":1,"id":99,"parameters":{"x":""#.utf8) + [UInt8](repeating: 0x78, count: 1 << 19)
            + Array(#""}}"#.utf8)
        for _ in 0..<1000 { cluster.take(large, from: Exchange.id(2)) }
        let question = Array(#"{"v":1,"id":7,"node":"b","method":"GetFigures","parameters":{}}"#.utf8)
        for _ in 0..<1000 { cluster.take(question, from: Exchange.id(2)) }
        #expect(cluster.counts.dropped > 1000)
        while try await kick(cluster).silent != [] {}
    }

    @Test("are not sent if too many questions are open")
    func questions() async throws {
        var limits = Cluster.Limits()
        limits.questions = 1
        let cluster = exchange.add(1, MemoryBackend(count: 0), limits)
        exchange.addMute(2)
        async let first = kick(cluster)
        while cluster.counts.questions == 0 { try await Task.sleep(for: .milliseconds(1)) }
        await #expect(throws: ControlError.unavailable("1 questions to other nodes are open")) {
            try await kick(cluster)
        }
        #expect(try await first.silent == ["node-2"])
    }
}
