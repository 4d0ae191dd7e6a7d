import CLinux
import Glibc

/// SIGINT and SIGTERM: the first ends the run early, with its figures; the second ends the process.
struct Interrupt {
    private var signals = sigset_t()
    private(set) var hasCome = false

    /// Blocks the signals for this thread and those that it will start.
    init() {
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Sleeps until the time has passed or a signal arrives.
    mutating func sleep(nanoseconds: UInt64) {
        var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        guard !hasCome else {
            nanosleep(&time, nil)
            return
        }
        if sigtimedwait(&signals, nil, &time) > 0 {
            hasCome = true
            pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        }
    }
}
