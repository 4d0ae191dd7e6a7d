import Synchronization

/// What the rest of the process may touch of a worker.
final class WorkerHandle: Sendable {
    let mailbox = Mailbox()
    /// Connections accepted for it and not yet ended, so that the next one goes where the fewest are.
    let load = Atomic<Int>(0)
    /// The last probe it was sent and the last it has answered.
    let asked = Atomic<UInt64>(0)
    let answered = Atomic<UInt64>(0)
}

/// What all workers of a hub share.
final class WorkerContext: Sendable {
    /// What the workers begin with.
    let configuration: EngineConfiguration
    let handles: [WorkerHandle]
    let admission: Admission
    let account: MemoryAccount
    let events: AsyncStream<EngineEvent>.Continuation
    /// Events that came faster than they were read.
    let lostEvents = Atomic<UInt64>(0)
    /// Whether unremarkable events are reported too.
    let reportsEverything = Atomic<Bool>(false)

    /// Tells the control plane.
    func report(_ event: EngineEvent) {
        if case .dropped = events.yield(event) { lostEvents.add(1, ordering: .relaxed) }
    }

    init(configuration: EngineConfiguration, events: AsyncStream<EngineEvent>.Continuation) {
        self.configuration = configuration
        self.events = events
        handles = (0..<configuration.workerCount).map { _ in WorkerHandle() }
        account = MemoryAccount(limit: configuration.memoryByteCount)
        admission = Admission(
            maximum: configuration.maximumConnections,
            maximumPerAddress: configuration.maximumConnectionsPerAddress,
            exemptsLoopback: configuration.exemptsLoopback
        )
    }
}
