import CLinux
import CSystemd
import Glibc
package import Logging

/// Reports the daemon's state to the service manager: sd_notify(3).
///
/// Every method sends one datagram and returns whether a service manager took it. Without `$NOTIFY_SOCKET`, for example
/// if a person started the daemon by hand, all of them do nothing and return false, so that callers need no special
/// case.
///
/// A service manager that does not read holds nobody up. Messages that must arrive are sent again until it has room for
/// them, for `patience` at most; then that is logged. Messages that are repeated soon are sent once.
package struct Notifier: Sendable {
    /// The maximum length of a status text in bytes. A datagram has at most PIPE_BUF (4096) bytes, and nobody reads
    /// more.
    package static let statusLimit = 1024

    /// The time for which a message that must arrive is sent again.
    static let patience: Duration = .seconds(1)

    /// Whether a service manager listens.
    package let isPresent: Bool
    private let logger: Logger?

    /// Reads `$NOTIFY_SOCKET` once; the variable stays set, because it is read for each message.
    package init(logger: Logger? = nil) {
        isPresent = getenv("NOTIFY_SOCKET") != nil
        self.logger = logger
    }

    /// Reports that every listener accepts: the daemon has started, or its reload has ended.
    @discardableResult
    package func ready(status: String? = nil) async -> Bool {
        await send(Self.lines("READY=1", status: status))
    }

    /// Sets the text that `systemctl status` shows. Callers decide how often; systemd signals each change on D-Bus.
    @discardableResult
    package func status(_ text: String) -> Bool {
        sendNow("STATUS=" + Self.oneLine(text))
    }

    /// Reports that the daemon has begun to shut down. If systemd did not ask for that, this starts the time of
    /// `TimeoutStopSec=`. It doesn't wait for room, because a drain waits for nobody who doesn't read.
    @discardableResult
    package func stopping(status: String? = nil) -> Bool {
        sendNow(Self.lines("STOPPING=1", status: status))
    }

    /// Reports that the daemon has begun to reload its configuration; `ready()` must follow, whatever the result.
    @discardableResult
    package func reloading() async -> Bool {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let microseconds = Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000
        return await send("RELOADING=1\nMONOTONIC_USEC=\(microseconds)")
    }

    /// Reports that the daemon is alive. `Watchdog` decides when this is true.
    @discardableResult
    package func watchdog() -> Bool {
        sendNow("WATCHDOG=1")
    }

    /// Extends the time for starting, stopping or running by this much, counted from now. Repeat it as long as needed;
    /// it has an effect only beyond the unit's own time limit.
    @discardableResult
    package func extendTimeout(_ duration: Duration) -> Bool {
        sendNow("EXTEND_TIMEOUT_USEC=\(duration.microseconds)")
    }

    /// Waits until the service manager has read everything that was sent before. Blocks its thread for up to `timeout`.
    @discardableResult
    package func barrier(timeout: Duration = .seconds(5)) -> Bool {
        guard isPresent else { return false }
        return sd_notify_barrier(0, timeout.microseconds) > 0
    }

    /// Sends a message that must arrive.
    ///
    /// - Parameter descriptor: a descriptor to send with it; negative for none.
    func send(_ lines: String, descriptor: Int32 = -1) async -> Bool {
        guard isPresent else { return false }
        let clock = SuspendingClock()
        let end = clock.now.advanced(by: Self.patience)
        var error = clinux_notify_now(lines, descriptor)
        while error == EAGAIN, clock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(10))
            error = clinux_notify_now(lines, descriptor)
        }
        if error != 0 {
            let word = lines.prefix { $0 != "=" }
            let reason =
                error == EAGAIN
                ? "it has not read its messages for a second" : String(cString: strerror(error))
            logger?.warning("the service manager could not be told \(word) through $NOTIFY_SOCKET: \(reason)")
        }
        return error == 0
    }

    private func sendNow(_ lines: String) -> Bool { isPresent && clinux_notify_now(lines, -1) == 0 }

    private static func lines(_ state: String, status: String?) -> String {
        state + (status.map { "\nSTATUS=" + oneLine($0) } ?? "")
    }

    /// The text without line breaks and other control characters, which would begin a new assignment or disturb a
    /// terminal, cut to `statusLimit` bytes.
    static func oneLine(_ text: String) -> String {
        var line = String.UnicodeScalarView()
        var byteCount = 0
        for scalar in text.unicodeScalars {
            let kept: Unicode.Scalar = LogText.isPrintable(scalar) ? scalar : " "
            byteCount += UTF8.width(kept)
            if byteCount > statusLimit { break }
            line.append(kept)
        }
        return String(line)
    }
}

extension Duration {
    /// Whole microseconds, never negative: the unit of systemd's protocols.
    var microseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) * 1_000_000 + UInt64(attoseconds) / 1_000_000_000_000
    }
}
