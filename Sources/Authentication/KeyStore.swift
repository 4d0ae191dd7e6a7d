internal import JWTKit
internal import Logging

/// The keys in force. Those of files change when they are loaded again; those of a URL are fetched, kept, fetched again
/// now and then, and once more when a token names a key that isn't among them.
package actor KeyStore {
    /// How long a fetched set is good, unless the answer says otherwise.
    private static let lifetime: Duration = .seconds(600)
    /// The shortest time between two fetches, whatever tokens and answers say.
    static let shortestPause: Duration = .seconds(10)

    private let logger: Logger
    private let fetch: @Sendable (String) async throws(KeyError) -> FetchedKeySet
    private let now: @Sendable () -> ContinuousClock.Instant
    private var sources: KeySources
    /// What tokens must say besides being signed.
    private(set) var policy: TokenPolicy
    private var files: FileKeys
    private var fetched: [VerificationKey]?
    private var fetching: Task<Void, Never>?
    private var lastFetch: ContinuousClock.Instant?
    private var expiry: ContinuousClock.Instant?

    /// Loads what is in files.
    ///
    /// - Throws: everything that is wrong with them.
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

    /// Says everything that is wrong with the keys in files, and changes nothing.
    package nonisolated func check(_ sources: KeySources) async throws(KeyErrors) { _ = try await FileKeys(sources) }

    /// Loads the keys again, those of files at once and all or none of them; those of a URL are fetched in the background.
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

    /// What tokens can be signed with here.
    var signer: VerificationKey? { files.secret }

    /// The keys that a token with this header may be signed with: those of its `kid`, and those without one.
    func keys(algorithm: String, id: String?) async throws(KeyError) -> [any JWTAlgorithm] {
        refreshIfDue()
        if sources.keySetURL != nil, fetched == nil || !isKnown(algorithm: algorithm, id: id) {
            await fetchIfAllowed()
        }
        let found = matching(algorithm: algorithm, id: id)
        guard found.isEmpty, sources.keySetURL != nil, fetched == nil else { return found }
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

    /// Begins a fetch when the set is getting old; who asks for a key doesn't wait for it.
    package func refreshIfDue() {
        guard sources.keySetURL != nil, fetching == nil, isAllowed, expiry.map({ now() >= $0 }) ?? true else { return }
        beginFetch()
    }

    private var isAllowed: Bool { lastFetch.map { now() - $0 >= Self.shortestPause } ?? true }

    /// Waits for the fetch that is under way, or makes one if the last one is long enough ago.
    private func fetchIfAllowed() async {
        if fetching == nil, isAllowed { beginFetch() }
        await fetching?.value
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
