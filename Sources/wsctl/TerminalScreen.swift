import Glibc

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

    /// Whether the program is to end. It stays so: whoever waits for whatever else needn't any longer.
    private(set) var hasEnded = false
    private var saved = termios()
    private var isTaken = false
    private var isChanged = false
    private var reader = KeyReader()
    private var keys: [UInt8] = []

    /// Takes the terminal over; nil where standard input and output are none, or one that can do nothing but print.
    init?() {
        guard Output.standard.isScreen, isatty(STDIN_FILENO) == 1, tcgetattr(STDIN_FILENO, &saved) == 0,
            PendingSignals.catchAll()
        else { return nil }
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
        let room = size.lines
        var text = "\u{1b}[H"
        for (number, line) in lines.prefix(room).enumerated() {
            // Erased before it is written: behind a line that fills its row, the cursor still stands on the last column.
            text += (number > 0 ? "\r\n" : "") + "\u{1b}[K" + line
        }
        if lines.count < room { text += "\r\n\u{1b}[J" }
        try Output.standard.write(Array(text.utf8))
    }

    /// Waits for something to happen.
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

    /// Waits until a descriptor can be read or so many seconds have passed. What is typed meanwhile is kept for
    /// ``wait(milliseconds:)``; only `q` can't wait for what may never come.
    ///
    /// - Returns: false when the program is to end.
    func wait(for descriptor: CInt, seconds: Int?) -> Bool {
        let end = seconds.map { WallClock.monotonicMilliseconds + Int64($0) * 1000 } ?? .max
        while !hasEnded && !keys.contains(UInt8(ascii: "q")) {
            let left = min(end - WallClock.monotonicMilliseconds, 60_000)
            if left <= 0 || look(beside: descriptor, milliseconds: Int32(left)) { return true }
        }
        hasEnded = true
        return false
    }

    /// Gives the terminal back, for good.
    func leave() {
        guard isTaken else { return }
        isTaken = false
        try? Output.standard.write(Array("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l".utf8))
        tcsetattr(STDIN_FILENO, TCSANOW, &saved)
    }

    /// Looks once at signals, the terminal and a descriptor, until there is something or the time is over.
    ///
    /// - Returns: whether the descriptor can be read.
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
        // The shell that let the program go on has put the terminal into its own order.
        if signals.contains(.goOn) { take() }
        if signals.contains(.stop) { stop(everyone: false) }
    }

    private func readKeys() {
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        // A terminal that is gone.
        guard count > 0 || (count < 0 && errno == EINTR) else { return hasEnded = true }
        for key in reader.keys(in: bytes.prefix(max(0, count))) {
            switch key {
            // Control-C and Control-D.
            case 3, 4: hasEnded = true
            // Control-Z: with it the terminal would stop everyone in front of it, a pipe's or a script's other programs too.
            case 26: stop(everyone: true)
            default: keys.append(key)
            }
        }
    }

    private func take() {
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
        // Not TCSAFLUSH, which would forget what has been typed.
        tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        // The other screen, no cursor, no wrapping.
        try? Output.standard.write(Array("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J".utf8))
        isTaken = true
        isChanged = true
    }

    /// Stops as a program does that knows nothing of terminals, so that the shell sees what it expects.
    ///
    /// - Parameter everyone: the whole process group, as the terminal does; else this process, as it was told to.
    private func stop(everyone: Bool) {
        leave()
        PendingSignals.stop(everyone: everyone)
        take()
    }
}
