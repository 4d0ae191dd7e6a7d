import Synchronization

/// The activity of a connection: whether it is executing a call, and whether it may begin another.
final class ConnectionActivity: Sendable {
    private struct State {
        var isBusy = false
        var isStopping = false
    }

    private let state = Mutex(State())

    /// Begins a call; false if no more calls are allowed.
    func begin() -> Bool {
        state.withLock { state in
            state.isBusy = !state.isStopping
            return state.isBusy
        }
    }

    /// Ends a call; false if it was the last one.
    func end() -> Bool {
        state.withLock { state in
            state.isBusy = false
            return !state.isStopping
        }
    }

    /// Allows no more calls; true if one is being executed.
    func stop() -> Bool {
        state.withLock { state in
            state.isStopping = true
            return state.isBusy
        }
    }
}
