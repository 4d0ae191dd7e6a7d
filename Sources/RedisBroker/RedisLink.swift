import NIOCore

/// A connection to a server that is made again whenever it ends, after a pause that grows.
final class RedisLink {
    /// What is called on the event loop.
    struct Events {
        var ready: (RedisConnection) -> Void
        var pushed: ([RESPValue]) -> Void
        var handled: () -> Void
        var lost: () -> Void
    }

    private static let shortestPause = 100.0
    private static let longestPause = 10_000.0

    private let loop: any EventLoop
    private let options: RedisBroker.Options
    private let events: Events
    private var connection: RedisConnection?
    private var retry: Scheduled<Void>?
    private var isStopped = false
    /// The attempts since the link last worked.
    private var attemptCount = 0
    /// The connection, while the server takes commands.
    private(set) var ready: RedisConnection?
    /// Why there is no connection; nil while there is one.
    private(set) var problem: String?
    /// The number of connections that were ready.
    private(set) var readyCount: UInt64 = 0

    init(_ loop: any EventLoop, _ options: RedisBroker.Options, _ events: Events) {
        self.loop = loop
        self.options = options
        self.events = events
        problem = "\(options.address) is not connected yet"
    }

    func start() {
        guard !isStopped else { return }
        attemptCount += 1
        let connection = RedisConnection(
            loop, options,
            RedisConnection.Events(
                ready: { [weak self] _ in self?.becameReady() }, pushed: { [weak self] in self?.events.pushed($0) },
                handled: { [weak self] in self?.events.handled() }, closed: { [weak self] in self?.closed($0) }))
        self.connection = connection
        connection.connect()
    }

    /// Notes that the connection does what it is for: the next one that is needed is made at once.
    func works() { attemptCount = 0 }

    /// Ends the connection; another is made.
    func drop(because reason: String) { connection?.close(because: reason) }

    func stop() {
        isStopped = true
        retry?.cancel()
        connection?.close(because: "is not needed any more")
    }

    private func becameReady() {
        guard let connection else { return }
        ready = connection
        problem = nil
        readyCount += 1
        events.ready(connection)
    }

    private func closed(_ reason: String) {
        connection = nil
        ready = nil
        problem = reason
        events.lost()
        guard !isStopped else { return }
        // Full jitter: many nodes that lose a server at once do not all come back at once.
        let longest = min(Self.longestPause, Self.shortestPause * Double(1 << min(attemptCount, 10)))
        let pause = Double.random(in: 0...longest)
        retry = loop.assumeIsolated().scheduleTask(in: .microseconds(Int64(pause * 1_000))) { [weak self] in
            self?.start()
        }
    }
}
