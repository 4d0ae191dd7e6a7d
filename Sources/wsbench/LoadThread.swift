import CLinux
import Glibc
import Synchronization

/// A thread that runs a `LoadLoop`.
final class LoadThread: Sendable {
    private let handle: pthread_t
    private let clock: clockid_t

    /// The argument of the thread's entry function, which releases it.
    private final class Start: Sendable {
        let plan: Plan
        let shared: SharedState
        let index: Int
        let result = Mutex<LoadResult?>(nil)

        init(_ plan: Plan, _ shared: SharedState, _ index: Int) {
            self.plan = plan
            self.shared = shared
            self.index = index
        }
    }

    private let start: Start

    /// Starts the thread. Signals are for the main thread.
    init(plan: Plan, shared: SharedState, index: Int) throws(Failure) {
        start = Start(plan, shared, index)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                clinux_name_this_thread("wsbench-\(start.index)")
                clinux_block_signals()
                let loop = LoadLoop(plan: start.plan, shared: start.shared, index: start.index)
                loop.run()
                start.result.withLock { $0 = loop.result }
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        guard result == 0 else {
            throw Failure("cannot start thread \(index + 1): \(String(cString: strerror(result)))")
        }
        handle = thread
        var clock = clockid_t()
        pthread_getcpuclockid(thread, &clock)
        self.clock = clock
    }

    /// The CPU time of the thread, in seconds.
    var cpuSeconds: Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Waits until the thread has ended.
    func join() -> LoadResult {
        pthread_join(handle, nil)
        return start.result.withLock { $0! }
    }
}
