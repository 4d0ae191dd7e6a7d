import Base
import Broker
import BrokerSupport
import NIOPosix
import Testing

@testable import NATSBroker

extension NATSTests {
    /// A stream as a source of records.
    @Suite(.timeLimit(.minutes(10))) struct StreamSource {
        @Test("Records come in their order, with their subject, what its wildcards stand for, and their headers")
        func fields() async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                try await fixture.backend.publish("orders.eu.x", ["before"])
                let source = fixture.source { $0.subject = "orders.*.>" }
                try await fixture.reads(source)
                try await fixture.backend.publish("orders.eu.room.1", (1...300).map(String.init))
                let header = [("room", "a:b"), ("room", "c"), ("data", "x")]
                try await fixture.backend.ask("orders.us.x", "last", header: header)
                let records = try await fixture.take(301, source)
                #expect(records.map(\.text) == (1...300).map(String.init) + ["last"])
                #expect(records[0].fields["subject"].map { String(decoding: $0, as: UTF8.self) } == "orders.eu.room.1")
                #expect(records[0].fields["key"].map { String(decoding: $0, as: UTF8.self) } == "eu.room.1")
                #expect(records[300].fields["room"].map { String(decoding: $0, as: UTF8.self) } == "a:b")
                try await fixture.isDone("ORDERS")
                await source.stop()
            }
        }

        @Test("A node that stops gives the rest to the next at once, and one that dies after its lease; in order")
        func takeover() async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                // Longer than the lease, so that there is something to wait for.
                let first = fixture.source {
                    $0.nodeName = "one"
                    $0.acknowledgementWait = .seconds(5)
                }
                try await fixture.reads(first)
                let second = fixture.source(by: fixture.proxy) { $0.nodeName = "two" }
                try await fixture.is(second, .standby(reader: "one"))
                try await fixture.backend.publish("orders.a", (1...100).map(String.init))
                #expect(try await fixture.take(50, first).count >= 50)
                await first.stop()
                try await fixture.reads(second)
                // It takes some and dies with them.
                try await fixture.backend.publish("orders.a", (101...200).map(String.init))
                let held = try #require(await second.next())
                try await fixture.proxy.cut()
                #expect(second.isCurrent(held.term))
                let third = fixture.source { $0.nodeName = "three" }
                try await fixture.reads(third)
                #expect(!second.isCurrent(held.term))
                try await fixture.backend.publish("orders.a", (201...300).map(String.init))
                let numbers = try await fixture.take(untilText: "300", third).compactMap { Int($0.text) }
                let expected = try #require(held.records.first.flatMap { Int($0.text) })
                #expect(numbers == Array(expected...300))
                let more = Task { await third.next() }
                try await fixture.isDone("ORDERS")
                // The one that was cut finds that another one reads.
                try await fixture.proxy.mend()
                try await fixture.is(second, .standby(reader: "three"))
                await second.stop()
                await third.stop()
                #expect(await more.value == nil)
            }
        }

        @Test("A connection that ends in the middle costs nothing, and nothing that is settled comes again")
        func cut() async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                let source = fixture.source(by: fixture.proxy) { _ in }
                try await fixture.reads(source)
                var numbers: [Int] = []
                for round in 0..<5 {
                    try await fixture.backend.publish("orders.a", (1...100).map { "\(round * 100 + $0)" })
                    let batch = try #require(await source.next())
                    // It is mended at once, so that the lease is kept.
                    try await fixture.proxy.mend()
                    numbers += batch.records.compactMap { Int($0.text) }
                    #expect(source.isCurrent(batch.term))
                    source.settle(batch.records.map { SettledRecord(id: $0.id) })
                    while numbers.last != (round + 1) * 100 {
                        numbers += try await fixture.take(1, source).compactMap { Int($0.text) }
                    }
                }
                #expect(numbers == Array(1...500))
                // What the server gave out once more is acknowledged once more, when it is asked for.
                let more = Task { await source.next() }
                try await fixture.isDone("ORDERS")
                await source.stop()
                #expect(await more.value == nil)
            }
        }

        @Test("What is being published for long is not given out again, and what can't be is not either")
        func progress() async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                let source = fixture.source { $0.acknowledgementWait = .milliseconds(500) }
                try await fixture.reads(source)
                try await fixture.backend.publish("orders.a", ["1"])
                let batch = try #require(await source.next())
                try await Task.sleep(for: .seconds(2))
                try await fixture.backend.publish("orders.a", ["2"])
                let state = try await fixture.backend.ask("$JS.API.CONSUMER.INFO.ORDERS.wsd")
                #expect(state.contains("\"num_redelivered\":0"), "\(state)")
                source.settle(batch.records.map { SettledRecord(id: $0.id, fault: "no") })
                #expect(try await fixture.take(untilText: "2", source).map(\.text) == ["2"])
                try await fixture.isDone("ORDERS")
                await source.stop()
            }
        }

        @Test("A server that restarts, a consumer that vanishes and a stream that is another one are made up for")
        func restart() async throws {
            try await Fixture.with { fixture in
                let backend = fixture.backend
                try await backend.makeStream("ORDERS", "orders.>")
                let source = fixture.source { _ in }
                try await fixture.reads(source)
                try await backend.publish("orders.a", ["1", "2"])
                #expect(try await fixture.take(2, source).map(\.text) == ["1", "2"])
                try await fixture.isDone("ORDERS")
                fixture.server.terminate()
                try await fixture.isDown(source, "127.0.0.1")
                try fixture.server.start()
                try await backend.publish("orders.a", ["3"])
                #expect(try await fixture.take(1, source).map(\.text) == ["3"])
                try await fixture.isDone("ORDERS")
                try await backend.ask("$JS.API.CONSUMER.DELETE.ORDERS.wsd")
                try await backend.publish("orders.a", ["4"])
                #expect(try await fixture.take(1, source).map(\.text) == ["4"])
                fixture.server.kill()
                fixture.server.removeStore()
                try fixture.server.start()
                try await fixture.isDown(source, "has no stream \"ORDERS\"; make it, or correct consume.stream")
                try await backend.makeStream("ORDERS", "orders.>")
                try await backend.publish("orders.a", ["5"])
                #expect(try await fixture.take(1, source).map(\.text) == ["5"])
                await source.stop()
            }
        }

        @Test("Large records are read one by one, and those beyond the limit are named")
        func sizes() async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                let source = fixture.source { $0.recordByteCount = 3 << 20 }
                try await fixture.reads(source)
                let sizes = [10, 900_000, 900_000, 2 << 20, 3 << 20, 4 << 20, 10]
                for size in sizes {
                    try await fixture.backend.ask("orders.a", String(repeating: "x", count: size))
                }
                let records = try await fixture.take(sizes.count, source)
                #expect(records.map(\.byteCount) == sizes)
                if case .tooLarge(_, let limit) = records[5].content {
                    #expect(limit == "3145728 bytes")
                } else {
                    Issue.record("it is not too large")
                }
                try await fixture.isDone("ORDERS")
                await source.stop()
            }
        }

        @Test("A record with more lines in its header than are read is named; the server limits their bytes")
        func headers() async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                let source = fixture.source { _ in }
                try await fixture.reads(source)
                func lines(_ count: Int) -> [(String, String)] { (1...count).map { ("n\($0)", "x") } }
                let long = String(repeating: "x", count: 65_000)
                for header in [lines(512), lines(513), [("a", long)]] {
                    try await fixture.backend.ask("orders.a", "1", header: header)
                }
                let answer = try await fixture.backend.ask("orders.a", "1", header: [("a", long + long)])
                #expect(answer.contains("header size exceeds maximum"), "\(answer)")
                let records = try await fixture.take(3, source)
                #expect(records.map { $0.fields.isEmpty } == [false, true, false])
                #expect(records[0].fields["n512"] == Array("x".utf8) && records[2].fields["a"]?.count == 65_000)
                guard case .tooLarge(let byteCount?, let limit) = records[1].content else {
                    throw NotSeen("a record that is too large")
                }
                #expect(byteCount > 513 * 7 && limit.hasSuffix("512 lines of a header"))
                try await fixture.isDone("ORDERS")
                await source.stop()
            }
        }

        @Test("A record that begins with what a server says in place of one is a record", arguments: [100, 404, 503])
        func status(_ status: Int) async throws {
            try await Fixture.with { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                let source = fixture.source { _ in }
                try await fixture.reads(source)
                let stranger = try await NATSStranger(fixture.server.port)
                try await stranger.publish("orders.a", "1", header: "NATS/1.0 \(status)\r\nroom: b\r\n\r\n")
                let records = try await fixture.take(1, source)
                #expect(records.map(\.text) == ["1"])
                #expect(records[0].fields["room"] == Array("b".utf8))
                try await fixture.isDone("ORDERS")
                await source.stop()
                try await stranger.end()
            }
        }

        @Test("What is wrong is told, with the way out")
        func reasons() async throws {
            try await Fixture.with { fixture in
                let backend = fixture.backend
                try await backend.makeStream("ORDERS", "orders.>")
                try await backend.makeStream("WORK", "work.>", ",\"retention\":\"workqueue\"")
                for (group, settings) in [
                    ("none", "\"ack_policy\":\"none\""),
                    ("push", "\"ack_policy\":\"explicit\",\"deliver_subject\":\"x\""),
                    ("few", "\"ack_policy\":\"explicit\",\"max_deliver\":3"),
                    ("part", "\"ack_policy\":\"explicit\",\"filter_subject\":\"orders.a\""),
                ] {
                    try await backend.ask(
                        "$JS.API.CONSUMER.DURABLE.CREATE.ORDERS.\(group)",
                        "{\"stream_name\":\"ORDERS\",\"config\":{\"durable_name\":\"\(group)\",\(settings)}}")
                }
                func fails(_ reason: String, _ change: (inout NATSStreamSource.Options) -> Void) async throws {
                    let source = fixture.source(change)
                    try await fixture.isDown(source, reason)
                    await source.stop()
                }
                try await fails("has no stream \"NONE\"") { $0.stream = "NONE" }
                try await fails("has no subjects \"other.*\"; correct consume.subject") { $0.subject = "other.*" }
                try await fails("its ack_policy is none, and explicit is needed; set another consume.group") {
                    $0.group = "none"
                }
                try await fails("it is a push consumer") { $0.group = "push" }
                try await fails("its max_deliver is 3") { $0.group = "few" }
                try await fails("it reads orders.a, and not all; set consume.subject") { $0.group = "part" }
                try await fails("is a work queue, which is read from its beginning; set consume.from") {
                    $0.stream = "WORK"
                }
                let first = fixture.source {
                    $0.stream = "WORK"
                    $0.readsFromBeginning = true
                }
                try await fixture.reads(first)
                try await fails("another consumer reads the work queue \"WORK\"") {
                    $0.stream = "WORK"
                    $0.readsFromBeginning = true
                    $0.group = "other"
                }
                // A queue loses what is acknowledged, and that is all.
                try await backend.publish("work.a", ["1"])
                #expect(try await fixture.take(1, first).map(\.text) == ["1"])
                await first.stop()
            }
            try await Fixture.with(hasJetStream: false) { fixture in
                let source = fixture.source { _ in }
                try await fixture.isDown(source, "add jetstream {} to its configuration")
                await source.stop()
            }
        }

        @Test("A user with the rights of the manual is enough, and one that lacks some is told which")
        func rights() async throws {
            let (publish, subscribe) = NATSStreamSource.permissions(stream: "ORDERS", group: "g")
            func list(_ subjects: [String]) -> String { subjects.map { "\"\($0)\"" }.joined(separator: ", ") }
            func user(_ name: String, _ publish: [String]) -> String {
                "{ user: \(name), password: x, permissions: { publish: [\(list(publish))], "
                    + "subscribe: [\(list(subscribe))] } }"
            }
            let lines = [
                "authorization { users: [ { user: root, password: x }, \(user("ada", publish)), "
                    + "\(user("bob", publish.filter { !$0.contains("MSG.NEXT") })) ] }\nno_auth_user: root"
            ]
            try await Fixture.with(lines) { fixture in
                try await fixture.backend.makeStream("ORDERS", "orders.>")
                let bob = fixture.source(login: .user("bob", password: "x")) { $0.group = "g" }
                let reading = Task { await bob.next() }
                let question = "\"$JS.API.CONSUMER.MSG.NEXT.ORDERS.g\""
                try await fixture.isDown(bob, "Permissions Violation for Publish to \(question)")
                reading.cancel()
                await bob.stop()
                let source = fixture.source(login: .user("ada", password: "x")) { $0.group = "g" }
                try await fixture.reads(source)
                try await fixture.backend.publish("orders.a", ["1", "2"])
                #expect(try await fixture.take(2, source).map(\.text) == ["1", "2"])
                try await fixture.isDone("ORDERS", "g")
                let stranger = fixture.source(login: .user("eve", password: "x")) { $0.group = "g" }
                try await fixture.isDown(stranger, "the user eve or the password is not what it knows")
                await stranger.stop()
                await source.stop()
            }
        }
    }
}
