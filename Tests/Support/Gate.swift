import Glibc
import Synchronization

/// Something that a thread waits for, and whether one does.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var isReached = false
    }

    private let state = Mutex(State())

    var isOpen: Bool { state.withLock(\.isOpen) }

    func open() { state.withLock { $0.isOpen = true } }

    /// Blocks the thread until the gate is open.
    func wait() {
        while true {
            let isOpen = state.withLock { state in
                state.isReached = true
                return state.isOpen
            }
            if isOpen { return }
            usleep(1_000)
        }
    }

    /// Waits until a thread is blocked.
    func isReached() async throws {
        let deadline = ContinuousClock.now + patience
        while !state.withLock(\.isReached) {
            guard ContinuousClock.now < deadline else { throw NotSeen("nobody waits at the gate") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
