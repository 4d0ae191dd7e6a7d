import CLinux
import Glibc
import Synchronization

/// Writes text to the standard streams. Errors are not reported, because the reader has gone away.
enum Output {
    /// Writes all of the text.
    ///
    /// - Returns: false if that failed.
    @discardableResult
    static func write(_ text: String, to descriptor: CInt) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // Another program has made the terminal non-blocking.
                var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&event, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }
}

/// A line on standard error that is overwritten again and again; silent if that is not a terminal.
struct Progress {
    /// The current activity of the run.
    var label = "connecting"
    private let isShown: Bool
    private var lastDelivered = 0
    private var lastTime: UInt64 = 0

    init(isQuiet: Bool) { isShown = !isQuiet && isatty(STDERR_FILENO) == 1 }

    /// Shows the progress of the run.
    mutating func show(_ shared: SharedState, _ plan: Plan) {
        guard isShown else { return }
        let now = clinux_monotonic_nanoseconds()
        let open = shared.sum { $0.open.load(ordering: .relaxed) }
        let failed = shared.sum { $0.failed.load(ordering: .relaxed) }
        let delivered = shared.sum { $0.delivered.load(ordering: .relaxed) }
        var line = "\(label): \(open) of \(plan.connectionCount) open"
        if failed > 0 { line += ", \(failed) failed" }
        if delivered > 0 {
            let rate = Double(delivered - lastDelivered) / (Double(now - lastTime) / 1e9)
            line += ", \(delivered) received, \(Number.fixed(rate, 0))/s"
        }
        (lastDelivered, lastTime) = (delivered, now)
        put("\r\u{1b}[K\(line)")
    }

    /// Clears the line.
    func clear() { if isShown { put("\r\u{1b}[K") } }

    private func put(_ text: String) { Output.write(text, to: STDERR_FILENO) }
}
