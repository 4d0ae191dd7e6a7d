import Logging
import Synchronization
import Testing

@testable import Systemd

@Suite struct WatchdogTests {
    @Test func itIsFedAgainAndAgainWhileHealthy() async {
        let (fed, meals) = AsyncStream<Void>.makeStream()
        let watchdog = Watchdog(interval: .milliseconds(1)) { meals.yield() }
        let task = Task { await watchdog.run(logger: Logger(label: "test")) { true } }
        var count = 0
        for await _ in fed {
            count += 1
            if count == 3 { break }
        }
        task.cancel()
        await task.value
        #expect(count == 3)
    }

    @Test func itIsNotFedWhileUnhealthyAndSaysSoOnce() async {
        let log = RecordingLog()
        let logger = Logger(label: "test") { _ in log }
        let (fed, checked) = (Counter(), Counter())
        let watchdog = Watchdog(interval: .milliseconds(1)) { fed.increment() }
        // Healthy twice, then hung five times, then healthy again.
        await withTaskGroup(of: Void.self) { group in
            let (done, finish) = AsyncStream<Void>.makeStream()
            group.addTask {
                await watchdog.run(logger: logger) {
                    let turn = checked.increment()
                    if turn == 9 { finish.finish() }
                    return turn <= 2 || turn == 8
                }
            }
            for await _ in done {}
            group.cancelAll()
        }
        #expect(fed.value == 3)
        let messages = log.messages.withLock { $0 }
        #expect(
            messages.prefix(2) == [
                "critical: a worker does not turn, the watchdog is no longer fed",
                "notice: every worker turns again, the watchdog is fed",
            ])
    }

    @Test func cancellationEndsIt() async {
        let watchdog = Watchdog(interval: .seconds(3600)) {}
        let task = Task { await watchdog.run(logger: Logger(label: "test")) { true } }
        task.cancel()
        await task.value
    }
}

/// Keeps what was logged.
private final class RecordingLog: LogHandler {
    let messages = Mutex<[String]>([])
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var metadataProvider: Logger.MetadataProvider? {
        get { nil }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        messages.withLock { $0.append("\(event.level): \(event.message)") }
    }
}

/// Counts on any thread.
private final class Counter: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }

    @discardableResult func increment() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
}
