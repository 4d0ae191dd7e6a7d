import CLinux
import CSystemd
import Glibc

/// Reports the daemon's state to the service manager: sd_notify(3).
///
/// Every method sends one datagram and returns whether a service manager took it. Without `$NOTIFY_SOCKET`, for example
/// if a person started the daemon by hand, all of them do nothing and return false, so that callers need no special
/// case.
///
/// Messages that must arrive wait until the service manager has room for them. Messages that are repeated soon don't
/// wait.
package struct Notifier: Sendable {
    /// The maximum length of a status text in bytes. A datagram has at most PIPE_BUF (4096) bytes, and nobody reads
    /// more.
    package static let statusLimit = 1024

    /// Whether a service manager listens.
    package let isPresent: Bool

    /// Reads `$NOTIFY_SOCKET` once; the variable stays set, because libsystemd reads it for each message.
    package init() {
        isPresent = getenv("NOTIFY_SOCKET") != nil
    }

    /// Reports that every listener accepts: the daemon has started, or its reload has ended.
    @discardableResult
    package func ready(status: String? = nil) -> Bool {
        send("READY=1", status: status)
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
    package func reloading(status: String? = nil) -> Bool {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let microseconds = Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000
        return send("RELOADING=1\nMONOTONIC_USEC=\(microseconds)", status: status)
    }

    /// Reports that the daemon is alive. `Watchdog` decides when this is true.
    @discardableResult
    package func watchdog() -> Bool {
        send("WATCHDOG=1")
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

    private func send(_ state: String, status: String? = nil) -> Bool {
        isPresent && sd_notify(0, Self.lines(state, status: status)) > 0
    }

    private func sendNow(_ lines: String) -> Bool { isPresent && clinux_notify_now(lines) == 0 }

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
