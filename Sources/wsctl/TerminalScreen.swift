import Glibc

/// The whole terminal, taken over for a while and restored afterwards.
final class TerminalScreen {
    /// An input from the person, the terminal or the system.
    enum Input: Equatable {
        case key(UInt8)
        /// No input within the time.
        case nothing
        /// The window has a new size, or is shown again.
        case redraw
        /// The program has to end.
        case end
    }

    /// Whether the program has to end. Once true it stays true, so nothing needs to be waited for any longer.
    private(set) var hasEnded = false
    private var saved = termios()
    private var isTaken = false
    private var isChanged = false
    private var reader = KeyReader()
    private var keys: [UInt8] = []

    /// Takes over the terminal; nil if standard input and output are not a terminal, or one that can only print.
    init?() {
        guard Output.standard.isScreen, isatty(STDIN_FILENO) == 1, tcgetattr(STDIN_FILENO, &saved) == 0,
            PendingSignals.catchAll()
        else { return nil }
        take()
    }

    deinit { leave() }

    /// The number of columns and lines.
    var size: (columns: Int, lines: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Replaces the contents of the screen by lines, which must be escaped already and no wider than the screen.
    func show(_ lines: [String]) throws {
        let room = size.lines
        var text = "\u{1b}[H"
        for (number, line) in lines.prefix(room).enumerated() {
            // Each line is erased before it is written: after a line that fills its row, the cursor still is in the
            // last column.
            text += (number > 0 ? "\r\n" : "") + "\u{1b}[K" + line
        }
        if lines.count < room { text += "\r\n\u{1b}[J" }
        try Output.standard.write(Array(text.utf8))
    }

    /// Waits for an input.
    func wait(milliseconds: Int32) -> Input {
        let end = WallClock.monotonicMilliseconds + Int64(milliseconds)
        while true {
            if hasEnded { return .end }
            if isChanged {
                isChanged = false
                return .redraw
            }
            if !keys.isEmpty { return .key(keys.removeFirst()) }
            let left = end - WallClock.monotonicMilliseconds
            guard left > 0 else { return .nothing }
            look(beside: nil, milliseconds: Int32(left))
        }
    }

    /// Waits until a descriptor is readable or the time has passed. Keys that are typed meanwhile are kept for
    /// ``wait(milliseconds:)``, except `q`, which ends the wait because the descriptor may never become readable.
    ///
    /// - Returns: false if the program has to end.
    func wait(for descriptor: CInt, seconds: Int?) -> Bool {
        let end = seconds.map { WallClock.monotonicMilliseconds + Int64($0) * 1000 } ?? .max
        while !hasEnded && !keys.contains(UInt8(ascii: "q")) {
            let left = min(end - WallClock.monotonicMilliseconds, 60_000)
            if left <= 0 || look(beside: descriptor, milliseconds: Int32(left)) { return true }
        }
        hasEnded = true
        return false
    }

    /// Lets a time pass; false if the program has to end, also by `q`.
    func pause(milliseconds: Int32) -> Bool {
        switch wait(milliseconds: milliseconds) {
        case .end, .key(UInt8(ascii: "q")):
            hasEnded = true
            return false
        case .nothing, .redraw, .key:
            return true
        }
    }

    /// Restores the terminal for good.
    func leave() {
        guard isTaken else { return }
        isTaken = false
        try? Output.standard.write(Array("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l".utf8))
        tcsetattr(STDIN_FILENO, TCSANOW, &saved)
    }

    /// Waits once for signals, keys and a descriptor, until one of them has something or the time is over.
    ///
    /// - Returns: whether the descriptor is readable.
    @discardableResult private func look(beside descriptor: CInt?, milliseconds: Int32) -> Bool {
        var events = [STDIN_FILENO, PendingSignals.descriptor, descriptor ?? -1].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        let count = poll(&events, nfds_t(events.count), milliseconds)
        if count < 0 && errno != EINTR { hasEnded = true }
        obey(PendingSignals.take())
        if count > 0 && events[0].revents != 0 { readKeys() }
        return count > 0 && events[2].revents != 0
    }

    private func obey(_ signals: PendingSignals.Wishes) {
        if signals.contains(.end) { hasEnded = true }
        if signals.contains(.redraw) { isChanged = true }
        // The shell that let the program continue has reset the terminal.
        if signals.contains(.goOn) { take() }
        if signals.contains(.stop) { stop(everyone: false) }
    }

    private func readKeys() {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        // The terminal is gone.
        guard count > 0 || (count < 0 && errno == EINTR) else { return hasEnded = true }
        for key in reader.keys(in: bytes.prefix(max(0, count))) {
            switch key {
            // Control-C and Control-D.
            case 3, 4: hasEnded = true
            // Control-Z: like the terminal itself, it stops the whole foreground group, including the other programs of
            // a pipe or script.
            case 26: stop(everyone: true)
            default: keys.append(key)
            }
        }
    }

    private func take() {
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        // Not TCSAFLUSH, which would discard keys that were typed already.
        tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        // The alternate screen, no cursor, no line wrapping.
        try? Output.standard.write(Array("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J".utf8))
        isTaken = true
        isChanged = true
    }

    /// Stops like a program that doesn't use the terminal, so that the shell sees what it expects.
    ///
    /// - Parameter everyone: whether to stop the whole process group, as the terminal does, or only this process, as
    ///   the signal demands.
    private func stop(everyone: Bool) {
        leave()
        PendingSignals.stop(everyone: everyone)
        take()
    }
}
