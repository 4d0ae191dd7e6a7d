package import Logging
package import NIOCore

/// Everything about tokens, put together: keys from files and from a URL, checking, making.
package struct Authenticator: Sendable {
    package let verifier: TokenVerifier
    package let maker: TokenMaker
    package let store: KeyStore

    /// Loads the keys that are in files, and begins to fetch those that aren't.
    ///
    /// - Throws: everything that is wrong with the keys in files.
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

    /// Reads the keys that are in files and forgets them again.
    ///
    /// - Throws: everything that is wrong with them.
    package static func check(_ sources: KeySources) async throws(KeyErrors) { _ = try await FileKeys(sources) }
}
