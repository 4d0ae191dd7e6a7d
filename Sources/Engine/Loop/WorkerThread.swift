import CLinux
import Glibc
import Synchronization

/// The thread that a worker runs on.
final class WorkerThread: Sendable {
    private struct State {
        var hasEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// The argument of the thread's entry function, which releases it.
    private final class Start {
        let worker: Worker
        let thread: WorkerThread

        init(_ worker: Worker, _ thread: WorkerThread) {
            self.worker = worker
            self.thread = thread
        }
    }

    /// Starts a thread named `wsd-worker-N` with signals blocked; the control plane handles them.
    init(_ worker: Worker) {
        let start = Unmanaged.passRetained(Start(worker, self)).toOpaque()
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                clinux_block_signals()
                clinux_name_this_thread("wsd-worker-\(start.worker.index)")
                start.worker.run()
                start.thread.end()
                return nil
            }, start)
        precondition(result == 0, "pthread_create: \(String(cString: strerror(result)))")
        pthread_detach(thread)
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
