import Base
import Broker
import Settings
import Synchronization

/// The parts of a worker that the rest of the process may use.
final class WorkerHandle: Sendable {
    /// The worker's number.
    let index: Int
    let mailbox = Mailbox()
    /// The number of connections accepted for the worker and not yet ended, so that the next one goes to the worker
    /// with the fewest.
    let load = Atomic<Int>(0)
    /// The last probe sent to the worker, and the last that it has answered.
    let asked = Atomic<UInt64>(0)
    let answered = Atomic<UInt64>(0)

    init(index: Int) { self.index = index }
}

/// The state that all workers of a hub share.
final class WorkerContext: Sendable {
    let handles: [WorkerHandle]
    let admission: Admission
    let account: MemoryAccount
    /// What reads the answers to challenges in the directory of the configuration.
    private let challenges = Mutex<(directory: ChallengeDirectory, reader: ChallengeReader)?>(nil)
    /// The broker that shares the channels between nodes, and this node's identity there; nil if this node is alone.
    let broker: (any Broker)?
    let node: NodeID?
    /// Whether the broker has said that it does not do its work.
    let isBrokerDown = Atomic<Bool>(false)
    let events: AsyncStream<EngineEvent>.Continuation
    /// The number of events dropped because they came faster than they were read.
    let lostEvents = Atomic<UInt64>(0)
    /// Whether unremarkable events are reported too.
    let reportsEverything = Atomic<Bool>(false)

    /// The reader for a directory. A new directory gets a new reader, because the old one may be stuck.
    func challengeReader(for directory: ChallengeDirectory) -> ChallengeReader {
        challenges.withLock { challenges in
            if let challenges, challenges.directory == directory { return challenges.reader }
            let reader = ChallengeReader()
            challenges = (directory, reader)
            return reader
        }
    }

    /// Reports an event to the control plane.
    func report(_ event: EngineEvent) {
        if case .dropped = events.yield(event) { lostEvents.add(1, ordering: .relaxed) }
    }

    /// - Parameter configuration: the one that the workers start with. It is not kept: each worker has the present one.
    init(configuration: EngineConfiguration, events: AsyncStream<EngineEvent>.Continuation) {
        self.events = events
        broker = configuration.broker
        node = configuration.node
        handles = (0..<configuration.workerCount).map { WorkerHandle(index: $0) }
        account = MemoryAccount(limit: configuration.memoryByteCount)
        admission = Admission(
            maximum: configuration.maximumConnections,
            maximumPerAddress: configuration.server.maxConnectionsPerIP,
            exemptsLoopback: configuration.exemptsLoopback
        )
    }
}

extension UInt64 {
    /// Visits the workers of a set with a bit for each: the numbers of the bits that are set, ascending.
    @inline(__always)
    func forEachBit(_ body: (Int) -> Void) {
        var rest = self
        while rest != 0 {
            body(rest.trailingZeroBitCount)
            rest &= rest - 1
        }
    }
}
