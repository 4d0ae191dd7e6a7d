import Authentication
import Configuration
import Synchronization

/// What checks and makes tokens, where somebody asks for them: a reload may begin with that, or make an end of it.
final class Tokens: Sendable {
    private struct State {
        /// Stays when nobody asks any more: its counters must not begin anew.
        var authenticator: Authenticator?
        var areAsked = false
    }

    private let state = Mutex(State())
    private let make: @Sendable (KeySources, TokenPolicy) async throws(KeyErrors) -> Authenticator

    /// - Parameter make: loads keys for the first time.
    init(make: @escaping @Sendable (KeySources, TokenPolicy) async throws(KeyErrors) -> Authenticator) {
        self.make = make
    }

    /// What checks tokens; nil where nobody needs one.
    var verifier: TokenVerifier? { authenticator?.verifier }

    /// What makes tokens; nil where nobody needs one.
    var maker: TokenMaker? { authenticator?.maker }

    private var authenticator: Authenticator? { state.withLock { $0.areAsked ? $0.authenticator : nil } }

    /// How many tokens were refused, for each label that there is; nil where nobody ever needed one.
    var refusalCounts: [(label: String, count: UInt64)]? {
        state.withLock { $0.authenticator }?.verifier.refusalCounts
    }

    /// Goes by other settings, with the keys as they are on disk now. One call at a time.
    ///
    /// - Throws: everything that is wrong with the keys in files; then all is as it was.
    func load(_ auth: Configuration.Auth) async throws(KeyErrors) {
        guard let sources = auth.keySources else { return state.withLock { $0.areAsked = false } }
        if let known = state.withLock({ $0.authenticator }) {
            try await known.store.reload(sources, auth.tokenPolicy)
            state.withLock { $0.areAsked = true }
        } else {
            let new = try await make(sources, auth.tokenPolicy)
            state.withLock { $0 = State(authenticator: new, areAsked: true) }
        }
    }

    /// Says everything that is wrong with the keys in files, and changes nothing.
    func check(_ auth: Configuration.Auth) async throws(KeyErrors) {
        if let sources = auth.keySources { try await Authenticator.check(sources) }
    }
}
