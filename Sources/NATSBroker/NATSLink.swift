import Base
import BrokerSupport
import NIOCore

/// The connection to one server of a cluster, which is made again whenever it ends, after a pause that grows, with the
/// next server that is known.
final class NATSLink {
    /// What is called on the event loop.
    struct Events {
        var ready: (NATSConnection) -> Void
        var complained: (String) -> Void
        var handled: () -> Void
        var lost: () -> Void
    }

    /// The most servers that are known at a time.
    private static let knownCount = 64

    private let loop: any EventLoop
    private let options: NATSBroker.Options
    private let events: Events
    private let configured: [NATSAddress]
    /// The servers that are configured, and those that a server has told of last.
    private var servers: [NATSAddress]
    private var next = 0
    private var connection: NATSConnection?
    private var retry: Scheduled<Void>?
    private var isStopped = true
    /// The attempts since the link last worked.
    private var attemptCount = 0
    /// The connection, while the server takes what is sent.
    private(set) var ready: NATSConnection?
    /// Why there is no connection; nil while there is one.
    private(set) var problem: String?
    /// The number of connections that were ready.
    private(set) var readyCount: UInt64 = 0

    init(_ loop: any EventLoop, _ options: NATSBroker.Options, _ events: Events) {
        self.loop = loop
        self.options = options
        self.events = events
        // Nodes spread over the servers.
        configured = options.servers.shuffled()
        servers = configured
        problem = "\(options.servers.map(\.description).joined(separator: ", ")) is not connected yet"
    }

    var name: String { connection?.address.description ?? servers.first?.description ?? "" }

    func start() {
        isStopped = false
        attempt()
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

    private func attempt() {
        guard !isStopped, connection == nil, !servers.isEmpty else { return }
        attemptCount += 1
        let address = servers[next % servers.count]
        let connection = NATSConnection(
            loop, address, options,
            NATSConnection.Events(
                ready: { [weak self] in self?.becameReady() }, informed: { [weak self] in self?.informed($0) },
                complained: { [weak self] in self?.events.complained($0) },
                handled: { [weak self] in self?.events.handled() }, closed: { [weak self] in self?.closed($0) }))
        self.connection = connection
        connection.connect()
    }

    private func informed(_ info: NATSServerInfo) {
        servers = Self.servers(configured, and: info)
        if let address = connection?.address { next = servers.firstIndex(of: address) ?? next }
        if info.ldm == true, servers.count > 1 {
            attemptCount = 0
            connection?.close(because: "is about to end, and sends its clients to other servers")
        }
    }

    /// The servers that are configured, and those that a server tells of. What it told before may be gone.
    static func servers(_ configured: [NATSAddress], and info: NATSServerInfo) -> [NATSAddress] {
        var servers = configured
        for address in (info.connectUrls ?? []).prefix(knownCount).compactMap({ NATSAddress($0) })
        where servers.count < knownCount && !servers.contains(address) {
            servers.append(address)
        }
        return servers
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
        next = (next + 1) % max(1, servers.count)
        events.lost()
        guard !isStopped else { return }
        let rounds = attemptCount / max(1, servers.count)
        retry?.cancel()
        retry = loop.assumeIsolated().scheduleTask(in: Backoff.reconnecting.pause(after: rounds + 1)) { [weak self] in
            self?.attempt()
        }
    }
}
