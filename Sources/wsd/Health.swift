import Engine

/// How the hub is: what `/healthz`, `/readyz`, `STATUS=` and `wsctl status` say of it.
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

    /// Why it isn't alive; nil where every worker has turned within a second.
    var whyNotAlive: String? {
        guard !stuckWorkers.isEmpty else { return nil }
        let numbers = stuckWorkers.map(String.init).joined(separator: ", ")
        return stuckWorkers.count == 1
            ? "worker \(numbers) has not turned for a second" : "workers \(numbers) have not turned for a second"
    }

    /// Why it takes no new connections; nil where it does.
    var whyNotReady: String? {
        if isDraining { return "draining" }
        guard connections < maximumConnections else { return "full: \(connections) connections" }
        return whyNotAlive
    }
}
