internal import JWTKit
internal import Logging

/// The keys in force. Keys from files change when they are loaded again. Keys from a URL are fetched, cached, and
/// fetched again periodically and when a token names an unknown key.
package actor KeyStore {
    /// How long a fetched set is valid, unless the answer says otherwise.
    private static let lifetime: Duration = .seconds(600)
    /// The minimum time between two fetches, whatever tokens and answers say.
    static let shortestPause: Duration = .seconds(10)

    private let logger: Logger
    private let fetch: @Sendable (String) async throws(KeyError) -> FetchedKeySet
    private let now: @Sendable () -> ContinuousClock.Instant
    private var sources: KeySources
    /// The claims that a token must have.
    private(set) var policy: TokenPolicy
    private var files: FileKeys
    private var fetched: [VerificationKey]?
    private var fetching: Task<Void, Never>?
    private var lastFetch: ContinuousClock.Instant?
    private var expiry: ContinuousClock.Instant?
    /// The number of checks that wait for a fetch, and the maximum once there are keys.
    private var waitingCount = 0
    private static let mostWaiting = 1_000

    /// Loads the keys from files.
    ///
    /// - Throws: every error in the key files.
    init(
        _ sources: KeySources, _ policy: TokenPolicy, logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        fetch: @escaping @Sendable (String) async throws(KeyError) -> FetchedKeySet
    ) async throws(KeyErrors) {
        self.sources = sources
        self.policy = policy
        self.logger = logger
        self.fetch = fetch
        self.now = now
        files = try await FileKeys(sources)
        for warning in files.warnings { logger.warning("\(warning)") }
    }

    /// Reports every error in the key files, and changes nothing.
    package nonisolated func check(_ sources: KeySources) async throws(KeyErrors) { _ = try await FileKeys(sources) }

    /// Loads the keys again: those from files at once, all or none of them; those from a URL are fetched in the
    /// background.
    package func reload(_ newSources: KeySources, _ newPolicy: TokenPolicy) async throws(KeyErrors) {
        let newFiles = try await FileKeys(newSources)
        for warning in newFiles.warnings { logger.warning("\(warning)") }
        files = newFiles
        if newSources.keySetURL != sources.keySetURL {
            fetched = nil
            lastFetch = nil
        }
        sources = newSources
        policy = newPolicy
        expiry = nil
        refreshIfDue()
    }

    /// The key for signing tokens; nil if there is none.
    var signer: VerificationKey? { files.secret }

    /// The keys that may have signed a token with this header: those with its `kid`, and those without one.
    func keys(algorithm: String, id: String?) async throws(KeyError) -> [any JWTAlgorithm] {
        refreshIfDue()
        var hasWaited = true
        if sources.keySetURL != nil, fetched == nil || !isKnown(algorithm: algorithm, id: id) {
            hasWaited = await fetchIfAllowed()
        }
        let found = matching(algorithm: algorithm, id: id)
        guard found.isEmpty, sources.keySetURL != nil, fetched == nil || !hasWaited else { return found }
        throw KeyError("the keys could not be fetched yet; try again later")
    }

    private func isKnown(algorithm: String, id: String?) -> Bool {
        (files.all + (fetched ?? [])).contains { $0.algorithms[algorithm] != nil && (id == nil || $0.id == id) }
    }

    private func matching(algorithm: String, id: String?) -> [any JWTAlgorithm] {
        let keys = files.all + (fetched ?? [])
        let named = id == nil ? [] : keys.filter { $0.id == id }
        let others = keys.filter { $0.id == nil || id == nil }
        return (named + others).compactMap { $0.algorithms[algorithm] }
    }

    /// Begins a fetch if the set is getting old; nobody waits for it.
    package func refreshIfDue() {
        guard sources.keySetURL != nil, fetching == nil, isAllowed, expiry.map({ now() >= $0 }) ?? true else { return }
        beginFetch()
    }

    private var isAllowed: Bool { lastFetch.map { now() - $0 >= Self.shortestPause } ?? true }

    /// Waits for the fetch in progress, or for a new one if the last was long enough ago. False if too many wait already,
    /// though some keys are known: whoever shows a token of one that is unknown keeps nobody out who shows another.
    private func fetchIfAllowed() async -> Bool {
        if fetching == nil, isAllowed { beginFetch() }
        guard let fetching else { return true }
        guard fetched == nil || waitingCount < Self.mostWaiting else { return false }
        waitingCount += 1
        defer { waitingCount -= 1 }
        await fetching.value
        return true
    }

    private func beginFetch() {
        guard let url = sources.keySetURL else { return }
        lastFetch = now()
        fetching = Task { await fetchNow(url) }
    }

    private func fetchNow(_ url: String) async {
        defer { fetching = nil }
        do throws(KeyError) {
            let answer = try await fetch(url)
            let set = try await KeySet(json: answer.body, allowsSecrets: false, from: url)
            guard url == sources.keySetURL else { return }
            let ids = Set(set.keys.map(\.id))
            if fetched == nil || ids != Set(fetched!.map(\.id)) {
                logger.notice("fetched \(set.keys.count) keys from \(url)")
            }
            fetched = set.keys
            let lifetime = answer.lifetime.map { min(max($0, .seconds(60)), .seconds(3600)) } ?? Self.lifetime
            expiry = now() + lifetime
        } catch {
            let kept = fetched.map { "; going on with the \($0.count) keys of before" } ?? ""
            logger.error("\(error)\(kept)")
            expiry = now() + .seconds(30)
        }
    }
}
