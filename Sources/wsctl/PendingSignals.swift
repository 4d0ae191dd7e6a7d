import Glibc
import Synchronization

/// The signals that arrived, as bytes in a pipe, for a program that also waits for other things: poll(2) on the pipe
/// misses no signal, even one that arrives just before the call.
enum PendingSignals {
    /// The effects that signals ask for.
    struct Wishes: OptionSet {
        let rawValue: UInt32
        /// SIGINT, SIGTERM and SIGHUP.
        static let end = Wishes(rawValue: 1)
        /// SIGWINCH.
        static let redraw = Wishes(rawValue: 2)
        /// SIGTSTP.
        static let stop = Wishes(rawValue: 4)
        /// SIGCONT.
        static let goOn = Wishes(rawValue: 8)
    }

    private static let meanings: [(CInt, Wishes)] = [
        (SIGINT, .end), (SIGTERM, .end), (SIGHUP, .end), (SIGWINCH, .redraw), (SIGTSTP, .stop), (SIGCONT, .goOn),
    ]

    /// The ends of the pipe. A signal handler writes into it, and may do no more than that.
    private static let readEnd = Atomic<CInt>(-1)
    private static let writeEnd = Atomic<CInt>(-1)

    /// The descriptor that becomes readable when a signal has arrived.
    static var descriptor: CInt { readEnd.load(ordering: .relaxed) }

    /// Catches all these signals from now on; false if that is not possible.
    static func catchAll() -> Bool {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return false }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        readEnd.store(ends[0], ordering: .relaxed)
        writeEnd.store(ends[1], ordering: .relaxed)
        for (number, _) in meanings { catchSignal(number) }
        return true
    }

    /// The effects of the signals that arrived since the last call.
    static func take() -> Wishes {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        return meanings.reduce(into: []) { wishes, meaning in
            if bytes.prefix(max(0, count)).contains(UInt8(meaning.0)) { wishes.insert(meaning.1) }
        }
    }

    /// Stops the process, and returns when it continues; without a shell that controls the process group, it continues
    /// at once.
    static func stop(everyone: Bool) {
        signal(SIGTSTP, SIG_DFL)
        _ = everyone ? kill(0, SIGTSTP) : raise(SIGTSTP)
        catchSignal(SIGTSTP)
    }

    private static func catchSignal(_ number: CInt) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let before = errno
            var byte = UInt8(truncatingIfNeeded: number)
            // If the pipe is full, the reader will wake up anyway.
            _ = write(PendingSignals.writeEnd.load(ordering: .relaxed), &byte, 1)
            errno = before
        }
        sigaction(number, &action, nil)
    }
}
