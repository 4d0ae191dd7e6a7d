import Control
import NIOHTTP1
import Testing

@testable import API

@Suite("The API's parts")
struct RouterTests {
    private func request(_ key: String?, path: String = "/api/publish", body: String = "{}") -> Request {
        var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: path)
        if let key { head.headers.add(name: "Idempotency-Key", value: key) }
        return Request(head, body: Array(body.utf8), address: "192.0.2.1")
    }

    @Test("a repetition is answered with the first answer, for as long as it is kept")
    func repetition() async {
        let clock = Clock()
        let idempotency = Idempotency(now: { clock.now })
        let count = Counter()
        @Sendable func act() async -> Answer { .text(.ok, "\(await count.next())") }
        func body(_ request: Request) async -> String {
            String(decoding: await idempotency.perform(request, act).body, as: UTF8.self)
        }
        #expect(await body(request("a")) == "1\n")
        #expect(await body(request("a")) == "1\n")
        #expect(await body(request("b")) == "2\n")
        #expect(await body(request(nil)) == "3\n")
        #expect(await body(request(nil)) == "4\n")
        #expect(await idempotency.perform(request("a", body: "{ }"), act).status == .unprocessableEntity)
        #expect(await idempotency.perform(request("a", path: "/api/batch"), act).status == .unprocessableEntity)
        clock.advance(by: Idempotency.lifetime)
        #expect(await body(request("a")) == "5\n")
    }

    @Test("the oldest keys are forgotten first where there are too many")
    func capacity() async {
        let idempotency = Idempotency()
        for number in 0...(Idempotency.capacity + 1) {
            _ = await idempotency.perform(request("\(number)")) { .text(.ok, "first") }
        }
        let old = await idempotency.perform(request("0")) { .text(.ok, "second") }
        #expect(String(decoding: old.body, as: UTF8.self) == "second\n")
        let new = await idempotency.perform(request("\(Idempotency.capacity)")) { .text(.ok, "second") }
        #expect(String(decoding: new.body, as: UTF8.self) == "first\n")
    }

    @Test("a request that is under way is not begun a second time")
    func underWay() async {
        let idempotency = Idempotency()
        let (released, release) = AsyncStream.makeStream(of: Void.self)
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let request = request("a")
        async let first = idempotency.perform(request) {
            begin.finish()
            for await _ in released {}
            return .text(.ok, "done")
        }
        for await _ in begun {}
        #expect(await idempotency.perform(request) { .text(.ok, "never") }.status == .conflict)
        release.finish()
        #expect(await first.status == .ok)
    }

    @Test("wrong keys are counted by address, for a minute")
    func wrongKeys() {
        let clock = Clock()
        let keys = WrongKeys(now: { clock.now })
        for _ in 0..<WrongKeys.limit { keys.note("192.0.2.1") }
        #expect(keys.isTooMany("192.0.2.1") && !keys.isTooMany("192.0.2.2"))
        clock.advance(by: .seconds(60))
        #expect(!keys.isTooMany("192.0.2.1"))
    }
}

actor Counter {
    private var count = 0
    func next() -> Int {
        count += 1
        return count
    }
}
