import ArgumentParser
import Base
import Glibc

/// The option of the commands that watch the daemon and go on when it is restarted.
struct WatchOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Seconds that the daemon may be away, as in a restart, before the command ends; 0 to 3600.",
            valueName: "seconds"))
    var wait = 30.0

    func validate() throws {
        guard (0...3600).contains(wait) else { throw ValidationError("--wait \(wait): take 0 to 3600") }
    }
}

/// A daemon that is watched for a long time. When it has ended, which it does in a restart, the next process is waited for.
final class WatchedDaemon {
    /// The connection to the daemon.
    private(set) var client: DaemonClient
    private let options: GlobalOptions
    private let patience: Duration
    private let clock = ContinuousClock()
    /// The time at which the daemon was found to have ended; nil as long as it answers.
    private var goneSince: ContinuousClock.Instant?
    /// Whether the daemon has answered, so that it is the one that is meant.
    private var hasAnswered = false

    /// Whether the daemon has said that it stops, so that it will not be back.
    var isStopping = false

    /// Says something about the daemon to the person who watches it.
    var tell: (String) -> Void
    /// Waits for a number of milliseconds; false if the program has to end.
    var pause: (Int32) -> Bool = { milliseconds in
        usleep(useconds_t(max(0, milliseconds)) * 1_000)
        return true
    }
    /// Prepares a new connection.
    var prepare: (DaemonClient) -> Void = { _ in }

    private var mayComeBack: Bool { hasAnswered && !isStopping && patience > .zero }

    private static let backoff = Backoff(shortest: 0.1, longest: 2)

    /// Connects to the daemon, which has to be there.
    init(_ options: GlobalOptions, _ watch: WatchOptions) throws(Failure) {
        self.options = options
        patience = .milliseconds(Int(watch.wait * 1_000))
        client = try DaemonClient.forLooking(options)
        tell = { options.note($0) }
    }

    /// Notes that the daemon has answered.
    func answered() {
        hasAnswered = true
        guard goneSince != nil else { return }
        goneSince = nil
        tell("the daemon is back")
    }

    /// Asks the daemon with `body`, and again whenever it turns out to have ended, until another process of it answers.
    ///
    /// - Throws: the errors of `body`; if the daemon stays away, the failure with which that began.
    func ask<Result>(_ body: (DaemonClient) throws -> Result) throws -> Result {
        var first: Failure?
        var attempts = 0
        while true {
            do {
                if let since = goneSince {
                    guard clock.now < since + patience else { throw first ?? Failure(nil) }
                    guard pause(Int32(Self.backoff.ceiling(after: attempts) * 1_000)) else { throw Failure(nil) }
                    attempts += 1
                    client = try DaemonClient.forLooking(options)
                    prepare(client)
                }
                return try body(client)
            } catch let failure as Failure where failure.isAbsence && mayComeBack {
                if goneSince == nil {
                    goneSince = clock.now
                    first = failure
                    attempts = 0
                    tell("the daemon has ended; waiting for it to come back")
                } else if let since = goneSince, clock.now >= since + patience {
                    throw first ?? failure
                }
            }
        }
    }
}
