import CSystemd
package import Logging

/// Feeds systemd's watchdog while the daemon is healthy, and lets it act otherwise: sd_watchdog_enabled(3).
package struct Watchdog: Sendable {
    /// The time between two feeds: half of `WatchdogSec=`, as the manual page recommends.
    package let interval: Duration
    private let feed: @Sendable () -> Void

    /// The watchdog that `WatchdogSec=` configures; nil if the service manager expects none from this process.
    package init?(notifier: Notifier) {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0, microseconds > 1 else { return nil }
        self.init(interval: .microseconds(Int64(clamping: microseconds / 2))) { notifier.watchdog() }
    }

    /// A watchdog that calls `feed`, for tests.
    init(interval: Duration, feed: @escaping @Sendable () -> Void) {
        self.interval = interval
        self.feed = feed
    }

    /// Feeds until the task is cancelled, each time only if `isHealthy` has returned that every worker responded since
    /// the last check. A check that never returns feeds nothing, which is intended.
    package func run(logger: Logger, isHealthy: @Sendable () async -> Bool) async {
        // CLOCK_MONOTONIC, which systemd uses as well: it stops while the machine is suspended.
        let clock = SuspendingClock()
        var next = clock.now
        var fed = true
        while !Task.isCancelled {
            let healthy = await isHealthy()
            if healthy { feed() }
            if healthy != fed {
                // Logged once per change: a hung worker would otherwise fill the log until systemd acts.
                if healthy {
                    logger.notice("every worker turns again, the watchdog is fed")
                } else {
                    logger.critical("a worker does not turn, the watchdog is no longer fed")
                }
                fed = healthy
            }
            next = max(next.advanced(by: interval), clock.now)
            do { try await clock.sleep(until: next) } catch { return }
        }
    }
}
