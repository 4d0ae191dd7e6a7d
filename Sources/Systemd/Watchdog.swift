import CSystemd
package import Logging

/// Feeds systemd's watchdog while the daemon is healthy, and lets it bite when it isn't: sd_watchdog_enabled(3).
package struct Watchdog: Sendable {
    /// How often to feed: half of `WatchdogSec=`, as the man page asks.
    package let interval: Duration
    private let feed: @Sendable () -> Void

    /// The watchdog that `WatchdogSec=` asks for; nil where the service manager asks this process for none.
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

    /// Feeds until the task is cancelled, each time only after `isHealthy` has said that every worker turned since
    /// it was asked last. A check that never returns feeds nothing, which is as it should be.
    package func run(logger: Logger, isHealthy: @Sendable () async -> Bool) async {
        // CLOCK_MONOTONIC, which is what systemd measures by: it stands still while the machine sleeps.
        let clock = SuspendingClock()
        var next = clock.now
        var fed = true
        while !Task.isCancelled {
            let healthy = await isHealthy()
            if healthy { feed() }
            if healthy != fed {
                // Once per change: a hung worker would otherwise fill the log until systemd acts.
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
