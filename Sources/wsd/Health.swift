import Control
import Engine
import Glibc
import Systemd

/// The health of the hub, for `/healthz`, `/readyz`, `STATUS=` and `wsctl status`.
struct Health {
    private let stuckWorkers: [Int]
    private let isDraining: Bool
    private let connections: Int
    private let maximumConnections: Int
    private let brokerProblem: String?

    init(_ hub: Hub, _ lifecycle: Lifecycle, _ broker: NodeBroker?, workers: [Statistics]) async {
        brokerProblem = broker?.problem
        stuckWorkers = workers.indices.filter { workers[$0].isStale }
        isDraining = await lifecycle.progress(connectionsLeft: 0) != nil
        connections = hub.connectionCount
        maximumConnections = hub.maximumConnections
    }

    /// The reason why the hub isn't alive; nil if every worker has responded within a second.
    var whyNotAlive: String? {
        guard !stuckWorkers.isEmpty else { return nil }
        let numbers = stuckWorkers.map(String.init).joined(separator: ", ")
        return stuckWorkers.count == 1
            ? "worker \(numbers) has not turned for a second" : "workers \(numbers) have not turned for a second"
    }

    /// The reason why the hub should get no new connections; nil if it should.
    var whyNotReady: String? {
        if isDraining { return "draining" }
        guard connections < maximumConnections else { return "full: \(connections) connections" }
        return whyNotAlive ?? brokerProblem
    }
}

/// Keeps the line in `systemctl status` up to date, and asks systemd for more time during a drain.
struct StatusReport: Sendable {
    let backend: HubBackend
    let notifier: Notifier

    private static let interval: Duration = .seconds(2)

    /// Reports until cancelled. Sends nothing if nobody listens, or if nothing has changed.
    func run() async {
        guard notifier.isPresent else { return }
        var last = ""
        while !Task.isCancelled {
            let status = await backend.status()
            if status.state == .draining { notifier.extendTimeout(.seconds(15)) }
            let text = text(status)
            if text != last, notifier.status(text) { last = text }
            do { try await Task.sleep(for: StatusReport.interval) } catch { return }
        }
    }

    /// The state of the hub in one line.
    func text() async -> String { await text(backend.status()) }

    private func text(_ status: HubStatus) -> String {
        if let drain = status.drain {
            return "draining: \(drain.connectionsLeft) of \(drain.connectionsAtStart) connections left"
        }
        var text = status.notReady.map { "\($0); " } ?? ""
        text += "\(status.connections) of \(status.maxConnections) connections, "
        text += "\(status.messagesIn) messages in, \(status.messagesOut) out"
        if status.slowConsumers > 0 {
            text += ", \(status.slowConsumers) slow with \(status.queuedBytes) bytes queued"
        }
        if let keys = status.pendingRestart, !keys.isEmpty {
            text += "; only after a restart: \(keys.joined(separator: ", "))"
        }
        if let keys = status.unusedKeys, !keys.isEmpty { text += "; not used: \(keys.joined(separator: ", "))" }
        return text
    }
}

/// Explains why systemd passed no socket of a name, so that the daemon had to listen for itself.
///
/// The service's unit doesn't allow the daemon to open sockets of its own. The error that follows, such as "Address
/// family not supported", leads nobody to the unit of the socket, whose log alone has the cause.
struct MissingSockets {
    private let passed: Set<String>
    private let isNotified: Bool

    init(_ passed: PassedSockets, notifier: Notifier) {
        self.passed = Set(passed.names)
        isNotified = notifier.isPresent
    }

    /// Says that the service manager passed no socket of this name, and where to find the cause; nil if it passed one,
    /// or if none was to be expected.
    ///
    /// - Parameters:
    ///   - name: as in `FileDescriptorName=` of the unit.
    ///   - errno: the error when the daemon tried to listen for itself.
    func explanation(of name: String, errno: Int32 = 0) -> String? {
        // Other sockets were passed, or the unit is that of a service to which sockets are passed.
        guard !passed.contains(name), !passed.isEmpty || isNotified && errno == EAFNOSUPPORT else { return nil }
        let unit = name.hasPrefix("wsd") ? "\(name).socket" : "wsd-\(name).socket"
        let hasPort = !["control", "status"].contains(name)
        let holder = hasPort ? ", and \"ss -ltnp\" for another program that has its port" : ""
        return """
            \(unit) does not listen, so systemd has passed no socket named "\(name)": see "systemctl status \(unit)"\(holder)
            """
    }

    /// The explanation, if there is one, followed by the error when the daemon tried to listen for itself.
    func explanation(of name: String, _ error: ListenError) -> String {
        let own = error.description
        return explanation(of: name, errno: error.errno).map { "\($0); and the daemon itself \(own)" } ?? own
    }
}
