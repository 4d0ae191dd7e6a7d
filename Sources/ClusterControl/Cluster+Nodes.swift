internal import Base
internal import Broker
package import Control
internal import Glibc
internal import Operations
internal import Varlink

/// The nodes and what they do.
extension Cluster {
    /// How long a node's rates are measured.
    private static let measuringTime: Duration = .milliseconds(500)

    /// What a node says of itself.
    struct Figures: Codable, Sendable {
        var state: HubStatus.State
        var notReady: String?
        var connections: Int
        var maxConnections: Int
        var messagesInPerSecond: Double
        var messagesOutPerSecond: Double
        /// The number of processors in use.
        var load: Double
        /// How long measuring took, in seconds.
        var measuredSeconds: Double
    }

    /// All nodes with their figures, by name.
    package func nodeRows() async throws(ControlError) -> Nodes.Reply {
        let all = try await nodes()
        let start = ContinuousClock.now
        // Every node measures over the same time.
        async let measured = measure()
        let answers = try await ask(
            Question.Figures.method, NoParameters(), of: all.filter { $0.id != id },
            returning: TimedFigures.self)
        let own = await measured
        let replies = Dictionary(answers.replies.map { ($0.node.id, $0.reply) }) { first, _ in first }
        let rows = all.map { node in
            var row = NodeRow(
                name: node.name, id: "\(node.id)", isThis: node.id == id, version: node.version,
                addresses: node.addresses, since: Timestamp(millisecondsSinceEpoch: node.startedAt))
            if node.id == id {
                row.add(own)
            } else if let reply = replies[node.id] {
                row.add(reply.figures)
                row.lagSeconds = max(0, (reply.arrival - start).seconds - reply.figures.measuredSeconds)
            }
            return row
        }
        return Nodes.Reply(nodes: rows, silent: answers.silent)
    }

    /// Figures with the time at which they came.
    private struct TimedFigures: Decodable, Sendable {
        let figures: Figures
        let arrival = ContinuousClock.now

        init(from decoder: any Decoder) throws { figures = try Figures(from: decoder) }
    }

    /// Measures this node.
    func measure() async -> Figures {
        let start = ContinuousClock.now
        let (before, usedBefore) = (await backend.status(), Self.processorSeconds)
        let between = ContinuousClock.now
        try? await Task.sleep(for: Self.measuringTime)
        let (after, used) = (await backend.status(), Self.processorSeconds)
        let end = ContinuousClock.now
        let seconds = max((end - between).seconds, 0.001)
        return Figures(
            state: after.state, notReady: after.notReady, connections: after.connections,
            maxConnections: after.maxConnections,
            messagesInPerSecond: Double(after.messagesIn - before.messagesIn) / seconds,
            messagesOutPerSecond: Double(after.messagesOut - before.messagesOut) / seconds,
            load: (used - usedBefore) / seconds, measuredSeconds: (end - start).seconds)
    }

    /// The processor time that this process has used.
    private static var processorSeconds: Double {
        var time = timespec()
        // Without it, a load of 0 is shown.
        guard unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension NodeRow {
    fileprivate mutating func add(_ figures: Cluster.Figures) {
        state = figures.state
        notReady = figures.notReady
        connections = figures.connections
        maxConnections = figures.maxConnections
        messagesInPerSecond = figures.messagesInPerSecond
        messagesOutPerSecond = figures.messagesOutPerSecond
        load = figures.load
    }
}

extension Duration {
    fileprivate var seconds: Double { self / .seconds(1) }
}
