import Channels
import JWTKit
import Logging
import Synchronization
import Testing

@testable import Authentication

/// Keys of a URL: fetched, kept, fetched again, and never more often than is fair.
@Suite("Keys of a URL")
struct KeyStoreTests {
    /// A login server whose keys change.
    private final class Issuer: Sendable {
        private let state = Mutex((ids: ["one"], fetches: 0, isDown: false))

        func fetch() throws(KeyError) -> FetchedKeySet {
            let (ids, isDown) = state.withLock {
                $0.fetches += 1
                return ($0.ids, $0.isDown)
            }
            guard !isDown else { throw KeyError("the server is down") }
            let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
            let keys = ids.map { #"{"kty":"OKP","crv":"Ed25519","kid":"\#($0)","x":"\#(x)"}"# }
            return FetchedKeySet(body: Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8), lifetime: nil)
        }

        func rotate(to ids: [String]) { state.withLock { $0.ids = ids } }
        func setDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }
        var fetches: Int { state.withLock { $0.fetches } }
    }

    private final class Clock: Sendable {
        private let start = ContinuousClock.now
        private let passed = Mutex(Duration.zero)
        var now: ContinuousClock.Instant { start + passed.withLock { $0 } }
        func advance(_ time: Duration) { passed.withLock { $0 += time } }
    }

    private func store(_ issuer: Issuer, _ clock: Clock) async throws -> KeyStore {
        var sources = KeySources()
        sources.keySetURL = "https://login.example.org/keys"
        return try await KeyStore(sources, TokenPolicy(), logger: Logger(label: "test"), now: { clock.now }) {
            _ throws(KeyError) in try issuer.fetch()
        }
    }

    private func count(_ store: KeyStore, _ id: String?) async throws -> Int {
        try await store.keys(algorithm: "EdDSA", id: id).count
    }

    @Test("An unknown kid brings one fetch, and the next one only after a pause")
    func unknownKey() async throws {
        let (issuer, clock) = (Issuer(), Clock())
        let store = try await store(issuer, clock)
        #expect(try await count(store, "one") == 1)
        #expect(issuer.fetches == 1)
        #expect(try await count(store, nil) == 1)
        for _ in 0..<100 { #expect(try await count(store, "two") == 0) }
        #expect(issuer.fetches == 1)

        issuer.rotate(to: ["two"])
        clock.advance(KeyStore.shortestPause)
        #expect(try await count(store, "two") == 1)
        #expect(try await count(store, "one") == 0)
        #expect(issuer.fetches == 2)
    }

    @Test("A hundred tokens that wait for one key share one fetch")
    func shared() async throws {
        let (issuer, clock) = (Issuer(), Clock())
        let store = try await store(issuer, clock)
        try await withThrowingTaskGroup(of: Int.self) { tasks in
            for _ in 0..<100 { tasks.addTask { try await count(store, "one") } }
            for try await found in tasks { #expect(found == 1) }
        }
        #expect(issuer.fetches == 1)
    }

    @Test("While the server is down the keys of before go on; without any it says so")
    func outage() async throws {
        let (issuer, clock) = (Issuer(), Clock())
        let store = try await store(issuer, clock)
        issuer.setDown(true)
        await #expect(throws: KeyError.self) { try await count(store, "one") }
        issuer.setDown(false)
        clock.advance(KeyStore.shortestPause)
        #expect(try await count(store, "one") == 1)
        issuer.setDown(true)
        clock.advance(.seconds(3600))
        #expect(try await count(store, "one") == 1)
        clock.advance(.seconds(3600))
        #expect(try await count(store, "one") == 1)
    }
}
