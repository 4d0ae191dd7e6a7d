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
        @Sendable func act() async -> Response { .text(.ok, "\(await count.next())") }
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

    @Test("where there is no room for another key it is refused, and none that is kept is forgotten")
    func capacity() async {
        let clock = Clock()
        let idempotency = Idempotency(byteLimit: 1000, now: { clock.now })
        func status(_ key: String) async -> UInt {
            await idempotency.perform(request(key)) { .text(.ok, "done") }.status.code
        }
        for key in ["1", "2", "3"] {
            clock.advance(by: .seconds(10))
            #expect(await status(key) == 200)
        }
        let refused = await idempotency.perform(request("4")) { .text(.ok, "done") }
        #expect(refused.status == .serviceUnavailable)
        #expect(refused.fields.contains { $0 == ("Retry-After", "281") })
        #expect(await idempotency.perform(request("1")) { .text(.ok, "never") }.fields.contains { $0.1 == "true" })
        clock.advance(by: .seconds(280))
        #expect(await status("4") == 200)
        #expect(await status("5") == 503)
    }

    @Test("what failed, or did nothing, is not kept and takes no room")
    func failure() async {
        let idempotency = Idempotency(byteLimit: 300)
        for _ in 0..<10 {
            _ = await idempotency.perform(request("a")) { .text(.badRequest, "wrong") }
            let void = await idempotency.perform(request("a")) {
                var answer = Response.text(.ok, "nothing done")
                answer.isVoid = true
                return answer
            }
            #expect(void.status == .ok && void.fields.isEmpty)
        }
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

    @Test("the addresses of an IPv6 network count as one, and a network's neighbour is another")
    func wrongKeysFromANetwork() {
        let clock = Clock()
        let keys = WrongKeys(now: { clock.now })
        #expect(keys.due("2001:db8::1") == 1)
        for number in 0..<WrongKeys.limit {
            keys.note("2001:db8::\(number)")
            #expect(keys.due("2001:db8::\(number)") == nil)
        }
        #expect(keys.isTooMany("2001:db8::ffff:0:0:1") && !keys.isTooMany("2001:db8:0:1::1"))
        #expect(keys.due("2001:db8:0:1::1") == 1)
        keys.note("unix")
        #expect(!keys.isTooMany("unix"))
    }

    @Test("the log is told of wrong keys at once, and then every ten seconds of all since")
    func wrongKeysInTheLog() {
        let clock = Clock()
        let keys = WrongKeys(now: { clock.now })
        #expect(keys.due("192.0.2.1") == 1)
        for _ in 0..<5 { #expect(keys.due("192.0.2.1") == nil) }
        #expect(keys.due("192.0.2.2") == 1)
        clock.advance(by: .seconds(10))
        #expect(keys.due("192.0.2.1") == 6)
        #expect(keys.due("192.0.2.1") == nil)
    }

    @Test("a file with keys may have blanks, comments and a byte order mark")
    func keyFile() {
        func keys(_ text: String) -> [String] {
            APIKeys.keys(in: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(keys("\u{FEFF}# a\r\n\r\n  one\t\r\n\t# b\ntwo two") == ["one", "two two"])
        #expect(keys("one") == ["one"] && keys("\u{FEFF}\n \n#one").isEmpty)
    }

    @Test(
        "metrics are written as Accept prefers",
        arguments: [
            ("", false), ("*/*", false), ("Application/OpenMetrics-Text; version=1.0.0", true),
            ("application/openmetrics-text;q=0.5,text/plain", false), ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.4,*/*;q=0.9", true),
        ])
    func accept(field: String, isOpen: Bool) {
        #expect(MetricsFormat(accept: [field]) == (isOpen ? .openMetrics : .text))
    }

    @Test(
        "a target may have scheme and authority",
        arguments: [
            ("/a?b=c", "/a"), ("http://host:1/a/b?c", "/a/b"), ("HTTPS://host", "/"), ("http://host?a=/b", "/"),
        ])
    func target(uri: String, path: String) {
        #expect(Request(HTTPRequestHead(version: .http1_1, method: .GET, uri: uri), address: "").path == path)
    }

    @Test("a key is found beside other credentials")
    func key() {
        func key(_ fields: [(String, String)]) -> String? {
            var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
            head.headers = HTTPHeaders(fields)
            return Request(head, address: "").key
        }
        #expect(key([("Authorization", "Basic YTpi"), ("X-API-Key", "one")]) == "one")
        #expect(key([("Authorization", "Basic YTpi"), ("Authorization", "bearer   two ")]) == "two")
        #expect(key([("Authorization", "Bearer")]) == nil && key([]) == nil)
    }

    @Test("nothing is read behind a member that is not known")
    func unknownMember() throws {
        func read(_ text: String) throws -> JSONMembers { try JSONMembers(Array(text.utf8), known: ["a", "b"]) }
        let problem = #expect(throws: Problem.self) { try read(#"{"a": 1, "c": 2, nonsense"#) }
        #expect(try #require(problem).detail == #"unknown member "c"; there are a, b"#)
        #expect(throws: Problem.self) { try read(#"{"a": 1, "a": 2}"#) }
        #expect(try read(#"{"b": [1, 2], "a": 3}"#).text("b") == Array("[1, 2]".utf8))
    }

    @Test("an array that is too long is refused with its length", arguments: [0, 2, 3, 9])
    func elements(count: Int) throws {
        let text = "[" + Array(repeating: #""x""#, count: count).joined(separator: ",") + "]"
        let members = try JSONMembers(Array(#"{"ids": \#(text)}"#.utf8), known: ["ids"])
        guard count > 2 else {
            #expect(try members.choices("ids", "ids", atMost: 2)?.count == count)
            return
        }
        let problem = #expect(throws: Problem.self) { try members.choices("ids", "ids", atMost: 2) }
        #expect(try #require(problem).detail == "\(count) ids; there may be 2")
    }

    @Test("JSON texts go out as they came")
    func rawJSON() {
        struct Rest: Encodable { var a = 1 }
        let texts = ["1.50", "1e999"].map { Array($0.utf8) }
        let written = JSON.encode(Rest(), adding: "b", texts)
        #expect(String(decoding: written, as: UTF8.self) == #"{"a":1,"b":[1.50,1e999]}"#)
    }
}

actor Counter {
    private var count = 0
    func next() -> Int {
        count += 1
        return count
    }
}
