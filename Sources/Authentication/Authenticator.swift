package import Logging
package import NIOCore

/// Everything about tokens in one place: keys from files and from a URL, checking, and making.
package struct Authenticator: Sendable {
    package let verifier: TokenVerifier
    package let maker: TokenMaker
    package let store: KeyStore

    /// Loads the keys from files, and begins to fetch the others.
    ///
    /// - Throws: every error in the key files.
    package init(
        _ sources: KeySources, _ policy: TokenPolicy, group: any EventLoopGroup, logger: Logger
    ) async throws(KeyErrors) {
        let fetcher = KeySetFetcher(group: group)
        store = try await KeyStore(sources, policy, logger: logger) { url throws(KeyError) in
            try await fetcher.fetch(url)
        }
        verifier = TokenVerifier(store: store)
        maker = TokenMaker(store: store)
        await store.refreshIfDue()
    }

    /// Checks the keys in files, without keeping them.
    ///
    /// - Throws: every error in the key files.
    package static func check(_ sources: KeySources) async throws(KeyErrors) { _ = try await FileKeys(sources) }
}
