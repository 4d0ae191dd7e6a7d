import Synchronization

/// Whether a connection is carrying out a call, and whether it may begin another.
final class ConnectionActivity: Sendable {
    private struct State {
        var isBusy = false
        var isStopping = false
    }

    private let state = Mutex(State())

    /// A call begins; false when none may any more.
    func begin() -> Bool {
        state.withLock { state in
            state.isBusy = !state.isStopping
            return state.isBusy
        }
    }

    /// A call is answered; false when it was the last one.
    func end() -> Bool {
        state.withLock { state in
            state.isBusy = false
            return !state.isStopping
        }
    }

    /// No more calls; true when one is being carried out.
    func stop() -> Bool {
        state.withLock { state in
            state.isStopping = true
            return state.isBusy
        }
    }
}
