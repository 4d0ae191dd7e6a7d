import Glibc
import Synchronization

/// The signals that have come to a program that waits for other things as well, as bytes of a pipe: poll(2) on it misses
/// none, however shortly before it began one came.
enum PendingSignals {
    /// What signals want.
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

    /// The pipe: written by a handler, which may do no more.
    private static let readEnd = Atomic<CInt>(-1)
    private static let writeEnd = Atomic<CInt>(-1)

    /// What can be read when a signal has come.
    static var descriptor: CInt { readEnd.load(ordering: .relaxed) }

    /// Catches all of them from now on; false where that can't be.
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

    /// What has come since the last time.
    static func take() -> Wishes {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        return meanings.reduce(into: []) { wishes, meaning in
            if bytes.prefix(max(0, count)).contains(UInt8(meaning.0)) { wishes.insert(meaning.1) }
        }
    }

    /// Stops, and returns when told to go on; a group that no shell looks after goes on at once.
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
            // A full pipe says enough already.
            _ = write(PendingSignals.writeEnd.load(ordering: .relaxed), &byte, 1)
            errno = before
        }
        sigaction(number, &action, nil)
    }
}
