import Glibc
import Synchronization

/// The whole terminal, taken over for a while and left as it was.
final class TerminalScreen {
    /// What a person, the terminal or the system wants.
    enum Input: Equatable {
        case key(UInt8)
        /// Nothing, for as long as was waited.
        case nothing
        /// The window has another size, or is shown again.
        case redraw
        /// The program is to end.
        case end
    }

    /// Signals that have come, as bits: written by a handler, which may do no more.
    private static let signals = Atomic<UInt32>(0)
    private var saved = termios()
    private var isTaken = false

    /// Takes the terminal over; nil where standard input and output are none.
    init?() {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &saved) == 0 else {
            return nil
        }
        for number in [SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                let bit: UInt32 = number == SIGWINCH || number == SIGCONT ? 1 : 2
                TerminalScreen.signals.bitwiseOr(bit, ordering: .relaxed)
            }
            sigaction(number, &action, nil)
        }
        take()
    }

    deinit { leave() }

    /// Columns and lines.
    var size: (columns: Int, lines: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Shows lines, each escaped already and no wider than the screen, in place of what there was.
    func show(_ lines: [String]) throws {
        var text = "\u{1b}[H"
        for (number, line) in lines.prefix(size.lines).enumerated() {
            text += (number > 0 ? "\r\n" : "") + line + "\u{1b}[K"
        }
        text += "\u{1b}[J"
        try Output.standard.write(Array(text.utf8))
    }

    /// Waits for something to happen.
    func wait(milliseconds: Int32) -> Input {
        let came = Self.signals.exchange(0, ordering: .relaxed)
        if came & 2 != 0 { return .end }
        if came & 1 != 0 { return .redraw }
        var event = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        let result = poll(&event, 1, max(0, milliseconds))
        // A signal has come: the next call says which.
        guard result >= 0 else { return errno == EINTR ? wait(milliseconds: 0) : .end }
        guard result > 0 else { return .nothing }
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        guard count > 0 else { return .end }
        // Control-C and Control-D; a key that sends more than one byte is none of ours.
        if bytes[0] == 3 || bytes[0] == 4 { return .end }
        if bytes[0] == 26 { suspend() }
        return count == 1 && bytes[0] != 26 ? .key(bytes[0]) : .redraw
    }

    private func take() {
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw)
        // The other screen, no cursor, no wrapping.
        try? Output.standard.write(Array("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J".utf8))
        isTaken = true
    }

    private func leave() {
        guard isTaken else { return }
        isTaken = false
        try? Output.standard.write(Array("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l".utf8))
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
    }

    /// Control-Z, as the shell expects it.
    private func suspend() {
        leave()
        kill(getpid(), SIGSTOP)
        take()
    }
}
