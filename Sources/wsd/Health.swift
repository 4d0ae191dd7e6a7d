import Engine

/// The health of the hub, for `/healthz`, `/readyz`, `STATUS=` and `wsctl status`.
struct Health {
    private let stuckWorkers: [Int]
    private let isDraining: Bool
    private let connections: Int
    private let maximumConnections: Int

    init(_ hub: Hub, _ lifecycle: Lifecycle, workers: [Statistics]) async {
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

    /// The reason why the hub accepts no new connections; nil if it does.
    var whyNotReady: String? {
        if isDraining { return "draining" }
        guard connections < maximumConnections else { return "full: \(connections) connections" }
        return whyNotAlive
    }
}
