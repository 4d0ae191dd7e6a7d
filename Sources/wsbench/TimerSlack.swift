import Glibc

/// How late the kernel may wake a thread that sleeps (prctl(2), PR_SET_TIMERSLACK): 50 µs, which a schedule would see.
enum TimerSlack {
    /// As little as can be, for the threads that are started from now on.
    static func minimize() {
        let descriptor = open("/proc/self/timerslack_ns", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "1", 1)
        close(descriptor)
    }
}
