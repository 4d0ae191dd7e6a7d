import Base
import BrokerSupport
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

    /// Where the server is, as far as is known.
    enum Place {
        case at(RedisEndpoint)
        /// It is not known, for this reason.
        case unknown(String)
    }

    /// How the server is found.
    struct Whereabouts {
        /// What the server is called while its address is not known.
        var name: String
        /// Finds out where the server is, and calls the function then, once.
        var locate: (@escaping (Place) -> Void) -> Void
        /// Told that what is at an address is not the server.
        var doubt: (RedisAddress) -> Void = { _ in }

        /// A server that is always in one place.
        static func fixed(_ endpoint: RedisEndpoint) -> Whereabouts {
            Whereabouts(name: endpoint.description) { $0(.at(endpoint)) }
        }
    }

    private let loop: any EventLoop
    private let options: RedisBroker.Options
    private let whereabouts: Whereabouts
    private let events: Events
    private var connection: RedisConnection?
    private var retry: Scheduled<Void>?
    private var isStopped = true
    /// The number of the attempt that goes on; answers to others are late.
    private var serial: UInt64 = 0
    /// The attempts since the link last worked.
    private var attemptCount = 0
    /// The connection, while the server takes commands.
    private(set) var ready: RedisConnection?
    /// Why there is no connection; nil while there is one.
    private(set) var problem: String?
    /// The number of connections that were ready.
    private(set) var readyCount: UInt64 = 0

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ whereabouts: Whereabouts, _ events: Events
    ) {
        self.loop = loop
        self.options = options
        self.whereabouts = whereabouts
        self.events = events
        problem = "\(whereabouts.name) is not connected yet"
    }

    /// The address of the connection that there is, or is being made.
    var address: RedisAddress? { connection?.endpoint.address }

    func start() {
        isStopped = false
        attempt()
    }

    /// Notes why there is no connection.
    func fail(because reason: String) { problem = reason }

    /// Notes that the connection does what it is for: the next one that is needed is made at once.
    func works() { attemptCount = 0 }

    /// Ends the connection; another is made.
    func drop(because reason: String) { connection?.close(because: reason) }

    /// Connects to an address at once, unless the connection is to that.
    func move(to address: RedisAddress) {
        guard !isStopped, connection?.endpoint.address != address else { return }
        attemptCount = 0
        connection?.close(because: "is not the master any more; that is \(address)")
        retry?.cancel()
        attempt()
    }

    func stop() {
        isStopped = true
        serial += 1
        retry?.cancel()
        connection?.close(because: "is not needed any more")
    }

    private func attempt() {
        guard !isStopped, connection == nil else { return }
        attemptCount += 1
        serial += 1
        let serial = serial
        whereabouts.locate { [weak self] place in
            guard let self, self.serial == serial, !isStopped, connection == nil else { return }
            switch place {
            case .at(let endpoint): connect(endpoint)
            case .unknown(let reason): failed(reason)
            }
        }
    }

    private func connect(_ endpoint: RedisEndpoint) {
        let connection = RedisConnection(
            loop, endpoint, options,
            RedisConnection.Events(
                ready: { [weak self] _ in self?.becameReady() }, pushed: { [weak self] in self?.events.pushed($0) },
                handled: { [weak self] in self?.events.handled() },
                closed: { [weak self] in self?.closed($0) }))
        self.connection = connection
        connection.connect()
    }

    private func becameReady() {
        guard let connection else { return }
        ready = connection
        problem = nil
        readyCount += 1
        events.ready(connection)
    }

    private func closed(_ reason: String) {
        let unfit = connection?.isUnfit == true ? address : nil
        connection = nil
        ready = nil
        if let unfit { whereabouts.doubt(unfit) }
        failed(reason)
    }

    private func failed(_ reason: String) {
        problem = reason
        events.lost()
        guard !isStopped else { return }
        retry?.cancel()
        retry = loop.assumeIsolated().scheduleTask(in: Backoff.reconnecting.pause(after: attemptCount)) { [weak self] in
            self?.attempt()
        }
    }
}
