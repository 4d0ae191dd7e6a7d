import Glibc

/// The delay with which the kernel may wake a sleeping thread (prctl(2), PR_SET_TIMERSLACK): 50 µs, which a schedule
/// would notice.
enum TimerSlack {
    /// Sets the minimum for threads that are started from now on.
    static func minimize() {
        let descriptor = open("/proc/self/timerslack_ns", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "1", 1)
        close(descriptor)
    }
}
