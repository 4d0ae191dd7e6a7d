import Glibc

/// Standard output, written in large pieces. Notices when the reader has gone.
final class Output {
    /// The reader has closed its end, because it has read enough.
    struct ReaderGone: Error {}

    /// The process's standard output. Only the main thread writes.
    nonisolated(unsafe) static let standard = Output(descriptor: STDOUT_FILENO)

    private static let pieceByteCount = 64 << 10

    private let descriptor: CInt
    private var pending: [UInt8] = []

    /// Writes to an open descriptor.
    init(descriptor: CInt) {
        self.descriptor = descriptor
    }

    /// Writes a line to standard error. If that fails, there is no way left to report it.
    static func complain(_ line: String) {
        let errors = Output(descriptor: STDERR_FILENO)
        try? errors.write(line: line)
        try? errors.flush()
    }

    /// Whether the output goes to a terminal.
    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// The number of columns of the terminal; nil if the output is not a terminal.
    var terminalWidth: Int? {
        guard isTerminal else { return nil }
        if let columns = getenv("COLUMNS"), let width = Int(String(cString: columns)), width > 0 { return width }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    /// Whether to use colours and bold: on a capable terminal, unless NO_COLOR is set (no-color.org).
    var hasColor: Bool {
        if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
        return isScreen
    }

    /// Whether the output is a terminal that can do more than print one line below the other.
    var isScreen: Bool {
        guard isTerminal, let type = getenv("TERM") else { return false }
        return type.pointee != 0 && String(cString: type) != "dumb"
    }

    /// Adds a line.
    func write(line: some StringProtocol) throws {
        pending.append(contentsOf: line.utf8)
        try endLine()
    }

    /// Adds a line of bytes.
    func write(line: some Sequence<UInt8>) throws {
        pending.append(contentsOf: line)
        try endLine()
    }

    /// Writes bytes that are not a line.
    func write(_ bytes: [UInt8]) throws {
        pending += bytes
        try flush()
    }

    private func endLine() throws {
        pending.append(0x0a)
        if pending.count >= Self.pieceByteCount { try flush() }
    }

    /// Writes everything that was added.
    ///
    /// - Throws: ``ReaderGone``, or a ``Failure`` for any other error, such as a full disk.
    func flush() throws {
        var rest = pending[...]
        pending = []
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EPIPE {
                throw ReaderGone()
            } else if errno == EAGAIN {
                // Another program has made the terminal non-blocking.
                var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&event, 1, -1)
            } else if errno != EINTR {
                throw Failure("cannot write: \(String(cString: strerror(errno)))")
            }
        }
    }
}
