import Authentication
import Configuration
import Settings
import Synchronization

/// Checks and makes tokens while the configuration requires them, which a reload may change.
final class Tokens: Sendable {
    private struct State {
        /// Stays when tokens are no longer required, so that its counters don't start again.
        var authenticator: Authenticator?
        var areAsked = false
    }

    private let state = Mutex(State())
    private let make: @Sendable (KeySources, TokenPolicy) async throws(KeyErrors) -> Authenticator

    /// - Parameter make: makes an authenticator from the first keys.
    init(make: @escaping @Sendable (KeySources, TokenPolicy) async throws(KeyErrors) -> Authenticator) {
        self.make = make
    }

    /// Checks tokens; nil if none are required.
    var verifier: TokenVerifier? { authenticator?.verifier }

    /// Makes tokens; nil if none are required.
    var maker: TokenMaker? { authenticator?.maker }

    private var authenticator: Authenticator? { state.withLock { $0.areAsked ? $0.authenticator : nil } }

    /// The number of refused tokens for every possible reason; nil if tokens were never required.
    var refusalCounts: [(label: String, count: UInt64)]? {
        state.withLock { $0.authenticator }?.verifier.refusalCounts
    }

    /// Applies other settings, with the keys that are on disk now. Only one call at a time.
    ///
    /// - Throws: every error in the key files; then nothing has changed.
    func load(_ auth: Settings.Auth) async throws(KeyErrors) {
        guard let sources = auth.keySources else { return state.withLock { $0.areAsked = false } }
        if let known = state.withLock({ $0.authenticator }) {
            try await known.store.reload(sources, auth.tokenPolicy)
            state.withLock { $0.areAsked = true }
        } else {
            let new = try await make(sources, auth.tokenPolicy)
            state.withLock { $0 = State(authenticator: new, areAsked: true) }
        }
    }

    /// Reports every error in the key files, and changes nothing.
    func check(_ auth: Settings.Auth) async throws(KeyErrors) {
        if let sources = auth.keySources { try await Authenticator.check(sources) }
    }
}
