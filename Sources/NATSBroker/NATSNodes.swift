import Base
import Broker
import BrokerSupport
import NIOCore

/// Tells the others that this node is there, and keeps in mind who else is.
///
/// A node says so each 1/5 of the time after which it is gone; who was not heard of for 3/5 is gone. The least of those
/// that are there removes the users of who is not.
final class NATSNodes {
    private unowned let core: NATSCore
    private let fifth: TimeAmount
    private var others: [NodeID: (description: NodeDescription, heardAt: NIODeadline)] = [:]
    private var beat: Scheduled<Void>?
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

    /// Whether a node may have users: it is this one, or was heard of, or has had no time to be.
    func isThere(_ id: NodeID) -> Bool { id == core.options.node || others[id] != nil }

    func connected(_ connection: NATSConnection) {
        _ = connection.subscribe(core.subjects.beats) { [weak self] in self?.heard($0) }
        _ = connection.subscribe(core.subjects.bye) { [weak self] in self?.left($0) }
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
    }

    private func left(_ message: NATSMessage) {
        guard let id = NodeID(String(buffer: message.payload)), id != core.options.node else { return }
        others[id] = nil
    }

    private func tick() {
        beat?.cancel()
        guard !isStopped else { return }
        beat = core.loop.assumeIsolated().scheduleTask(in: fifth) { [weak self] in self?.tick() }
        say(core.subjects.beats)
        let now = NIODeadline.now()
        let limit = fifth * 3
        guard now >= patienceEnd else { return }
        for (id, other) in others where now - other.heardAt > limit {
            others[id] = nil
            isSweepDue = true
        }
        let isLeast = others.keys.allSatisfy { $0.rawValue > core.options.node.rawValue }
        guard isSweepDue, isLeast else { return }
        core.presence.removeGone { [weak self] isDone in if isDone { self?.isSweepDue = false } }
    }
}
