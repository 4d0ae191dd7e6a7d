import Base
import Broker
import BrokerSupport
import NIOCore

/// Who is there: this node says so with each probe, and who was not heard of for a time is gone.
///
/// The least of those that are there says so in each partition; its readers then remove the users of the lost node, all at
/// the same place of the log.
final class LogNodes {
    private struct Other {
        var description: NodeDescription
        var heardAt: NIODeadline
        /// Whether this node has said that it is gone, and when.
        var removedAt: NIODeadline?
    }

    private unowned let core: LogCore
    private var others: [NodeID: Other] = [:]
    /// The time before which nobody is taken for gone.
    private var patienceEnd = NIODeadline.now()
    private var lostAt: NIODeadline?

    private static let nodeCount = 10_000

    init(_ core: LogCore) { self.core = core }

    private var life: TimeAmount { TimeAmount(core.options.presenceTTL) }

    /// The nodes that are there, this one too.
    var list: [NodeDescription] {
        (others.values.map(\.description) + [own]).sorted { $0.id.rawValue < $1.id.rawValue }
    }

    var own: NodeDescription { core.options.nodeDescription ?? NodeDescription(id: core.options.node) }

    /// The other nodes that are there as far as is known.
    var recentlyHeard: Set<NodeID> {
        let now = NIODeadline.now()
        return Set(others.filter { now - $0.value.heardAt < life }.keys)
    }

    func connected() {
        // Others may have been away as this node was. When they are back, they have the whole time.
        let pause = Backoff.reconnecting.absenceOfOthers(after: lostAt.map { .now() - $0 } ?? .zero)
        patienceEnd = .now() + life + pause
        lostAt = nil
    }

    func disconnected() { if lostAt == nil { lostAt = .now() } }

    /// Notes a record of a node that was written some milliseconds ago.
    func heard(_ id: NodeID, ago milliseconds: Int64) {
        guard id != core.options.node else { return }
        let time = NIODeadline.now() - .milliseconds(milliseconds)
        if let other = others[id] {
            others[id]?.heardAt = max(other.heardAt, time)
            if let removedAt = other.removedAt, time > removedAt { others[id]?.removedAt = nil }
        } else if others.count < Self.nodeCount {
            others[id] = Other(description: NodeDescription(id: id), heardAt: time)
        }
    }

    func described(_ id: NodeID, _ json: String) {
        others[id]?.description = NodeDescription(id: id, json: json)
    }

    func left(_ id: NodeID) { others[id] = nil }

    /// Whether a node is this one, or was heard of.
    func isKnown(_ id: NodeID) -> Bool { id == core.options.node || others[id] != nil }

    /// Says of the nodes that were not heard of that they are gone, if it is this one's turn.
    ///
    /// - Parameter time: the time of which it is known that all records from before have been read.
    func sweep(at time: NIODeadline) {
        guard core.isUp, time >= patienceEnd else { return }
        let now = NIODeadline.now()
        let limit = TimeAmount.nanoseconds(life.nanoseconds / 5 * 3)
        let lost = others.filter { time - $0.value.heardAt > limit }
        let isLeast = others.keys.allSatisfy { lost[$0] != nil || $0.rawValue > core.options.node.rawValue }
        guard isLeast else { return }
        for (id, other) in lost where other.removedAt.map({ now - $0 > life }) ?? true {
            others[id]?.removedAt = now
            core.say(.gone(id))
        }
        core.removeStrangers(at: now, after: life)
    }
}
