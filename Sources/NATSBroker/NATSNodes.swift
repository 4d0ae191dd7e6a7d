import Base
import Broker
import BrokerSupport
import NIOCore

/// Tells the others that this node is there, and keeps in mind who else is.
///
/// A node says so each 1/5 of the time after which it is gone; who was not heard of for 3/5 is gone. The least of those
/// that are there removes the users of who is not. Whoever hears of a node that it took for gone says so, and then that
/// writes its users again.
final class NATSNodes {
    private unowned let core: NATSCore
    private let fifth: TimeAmount
    private var others: [NodeID: (description: NodeDescription, heardAt: NIODeadline)] = [:]
    /// Those that were taken for gone, and not heard of since.
    private var gone: Set<NodeID> = []
    private var beat: Scheduled<Void>?
    /// When this node said last that it is there; nil before it did so on this connection.
    private var saidAt: NIODeadline?
    private var isSweepDue = false
    private var lostAt: NIODeadline?
    /// The time before which nobody is taken for gone.
    private var patienceEnd = NIODeadline.now()
    private var isStopped = false

    /// The most nodes that are kept in mind, and the size of what one says of itself.
    private static let nodeCount = 10_000
    private static let descriptionByteCount = 65_536

    init(_ core: NATSCore) {
        self.core = core
        fifth = .nanoseconds(max(1_000_000, TimeAmount(core.options.presenceTTL).nanoseconds / 5))
    }

    /// The nodes that are there, this one too.
    var list: [NodeDescription] {
        (others.values.map(\.description) + [own]).sorted { $0.id.rawValue < $1.id.rawValue }
    }

    private var own: NodeDescription { core.options.nodeDescription ?? NodeDescription(id: core.options.node) }

    /// Whether a node may have users: it is this one, or was heard of, or has had no time to be. One that is not there is told
    /// so when it is back.
    func isThere(_ id: NodeID) -> Bool {
        if id == core.options.node || others[id] != nil { return true }
        noteGone(id)
        return false
    }

    private func noteGone(_ id: NodeID) {
        if gone.count >= Self.nodeCount { gone.removeAll() }
        gone.insert(id)
    }

    func connected(_ connection: NATSConnection) {
        _ = connection.subscribe(core.subjects.beats) { [weak self] in self?.heard($0) }
        _ = connection.subscribe(core.subjects.bye) { [weak self] in self?.left($0) }
        _ = connection.subscribe(core.subjects.back) { [weak self] in self?.isBack($0) }
        _ = connection.subscribe(core.subjects.hello) { [weak self] message in
            guard let self, String(buffer: message.payload) != core.nodeText else { return }
            say(core.subjects.beats)
        }
        // Others may have been away as this node was. When they are back, they have the whole time.
        let pause = Backoff.reconnecting.absenceOfOthers(after: lostAt.map { .now() - $0 } ?? .zero)
        patienceEnd = .now() + fifth * 5 + pause
        lostAt = nil
        isSweepDue = true
        connection.publish(core.subjects.hello, [UInt8](core.nodeText.utf8))
        tick()
    }

    func lost() {
        beat?.cancel()
        saidAt = nil
        if lostAt == nil { lostAt = .now() }
    }

    func stop() {
        isStopped = true
        beat?.cancel()
    }

    /// Tells the others that this node is gone, and calls `body`.
    func withdraw(then body: @escaping () -> Void) {
        stop()
        guard let connection = core.link.ready else { return body() }
        connection.publish(core.subjects.bye, [UInt8](core.nodeText.utf8))
        connection.ping { _ in body() }
    }

    private func say(_ subject: String) {
        core.link.ready?.publish(subject, [UInt8]("\(core.nodeText) \(own.json)".utf8))
    }

    private func heard(_ message: NATSMessage) {
        guard message.payload.readableBytes <= Self.descriptionByteCount else { return }
        let text = String(buffer: message.payload)
        guard let space = text.firstIndex(of: " "), let id = NodeID(text[..<space]), id != core.options.node,
            others[id] != nil || others.count < Self.nodeCount
        else { return }
        let json = String(text[text.index(after: space)...])
        others[id] = (NodeDescription(id: id, json: json), .now())
        if gone.remove(id) != nil { core.link.ready?.publish(core.subjects.back, [UInt8](id.description.utf8)) }
    }

    /// Takes what one node says of another for all: that it was taken for gone, and is back.
    private func isBack(_ message: NATSMessage) {
        guard let id = NodeID(String(buffer: message.payload)) else { return }
        if id == core.options.node { core.presence.restart() } else { gone.remove(id) }
    }

    private func left(_ message: NATSMessage) {
        guard let id = NodeID(String(buffer: message.payload)), id != core.options.node else { return }
        others[id] = nil
        gone.remove(id)
    }

    private func tick() {
        beat?.cancel()
        guard !isStopped else { return }
        beat = core.loop.assumeIsolated().scheduleTask(in: fifth) { [weak self] in self?.tick() }
        let now = NIODeadline.now()
        let limit = fifth * 3
        if let saidAt, now - saidAt > fifth * 2 {
            // This process stood still: others may have removed its users, and what they said of themselves is unread.
            core.presence.restart()
            patienceEnd = max(patienceEnd, now + limit)
        }
        saidAt = now
        say(core.subjects.beats)
        guard now >= patienceEnd else { return }
        for (id, other) in others where now - other.heardAt > limit {
            others[id] = nil
            noteGone(id)
            isSweepDue = true
        }
        let isLeast = others.keys.allSatisfy { $0.rawValue > core.options.node.rawValue }
        // Who may not hear the others takes them all for gone.
        guard isSweepDue, isLeast, !core.isDeafToNodes else { return }
        // Whoever goes meanwhile is for another one.
        isSweepDue = false
        core.presence.removeGone { [weak self] isDone in if !isDone { self?.isSweepDue = true } }
    }
}
