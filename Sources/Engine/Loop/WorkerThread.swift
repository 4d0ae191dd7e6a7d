import Glibc
import Synchronization

/// The thread that a worker runs on.
final class WorkerThread: Sendable {
    private struct State {
        var hasEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Starts a thread named `wsd-worker-N`.
    init(_ worker: Worker) {
        let result = DetachedThread.start(named: "wsd-worker-\(worker.index)") {
            worker.run()
            self.end()
        }
        precondition(result == 0, "pthread_create: \(String(cString: strerror(result)))")
    }

    private func end() {
        let waiters = state.withLock { state in
            state.hasEnded = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when the thread has left its loop.
    func ended() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if !state.hasEnded { state.waiters.append(continuation) }
                return state.hasEnded
            }
            if isOver { continuation.resume() }
        }
    }
}
