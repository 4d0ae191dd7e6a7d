import Base
import Broker
import BrokerSupport
import CLinux
import NIOCore

/// Removes the users of a node that is gone, or some of this one. Several nodes may do this at once: who removes a user
/// announces it.
final class NodeRemoval {
    private static let windowCount = 32
    private static let pageCount = 500
    /// The time in seconds for which a node can learn that it was taken for gone.
    private static let noteLife = 86_400

    private unowned let router: any RedisRouter
    private let node: NodeID
    /// Whether a user in a channel is there; nil if nobody is, as the node is gone.
    private let spares: ((Name, Name) -> Bool)?
    private let done: () -> Void
    private var channels: [String] = []
    /// Whether the node is gone, as the server said after the last channel was done.
    private var isProven = false
    private var underWayCount = 0
    private var hasFailed = false
    private var isDone = false

    init(
        _ router: any RedisRouter, _ node: NodeID, sparing spares: ((Name, Name) -> Bool)? = nil,
        done: @escaping () -> Void
    ) {
        self.router = router
        self.node = node
        self.spares = spares
        self.done = done
    }

    func start() {
        guard spares == nil else { return askForChannels() }
        ask([
            "SET", .text(router.keys.nodeGone(node)), "1", "EX", .number(Int64(Self.noteLife)),
        ]) { [self] _ in askForChannels() }
    }

    private func askForChannels() {
        ask(["SMEMBERS", .text(router.keys.nodeChannels(node))]) { [self] value in
            channels = (value.elements ?? []).compactMap(\.text)
        }
    }

    private func pump() {
        while underWayCount < Self.windowCount, !hasFailed, let channel = channels.popLast() {
            ifGone { [self] in scan(channel, "0") }
        }
        guard underWayCount == 0, !isDone else { return }
        if !hasFailed, !isProven, spares == nil { return ifGone { [self] in isProven = true } }
        isDone = true
        // If something failed, the node is still listed, and found again at the next look.
        if !hasFailed, spares == nil {
            router.send(["DEL", .text(router.keys.nodeChannels(node))]) { _ in }
            router.send(["SREM", .text(router.keys.nodes), .text(node.description)]) { _ in }
        }
        done()
    }

    /// Goes on unless the node has come back.
    private func ifGone(_ body: @escaping () -> Void) {
        guard spares == nil else { return body() }
        ask(["EXISTS", .text(router.keys.node(node))]) { [self] value in
            if value == .integer(0) { body() } else { hasFailed = true }
        }
    }

    private func scan(_ channel: String, _ cursor: String) {
        ask([
            "HSCAN", .text(router.keys.users(channel)), .text(cursor), "MATCH", .text("\(node)\0*"), "COUNT",
            .number(Int64(Self.pageCount)),
        ]) { [self] value in
            guard let parts = value.elements, parts.count == 2, let next = parts[0].text else { return }
            let fields = parts[1].elements ?? []
            for index in stride(from: 0, to: fields.count, by: 2) {
                if let field = fields[index].text { remove(field, channel) }
            }
            if next != "0" { scan(channel, next) }
        }
    }

    private func remove(_ field: String, _ channel: String) {
        guard let separator = field.utf8.firstIndex(of: 0) else { return }
        let user = String(field[field.utf8.index(after: separator)...])
        if let spares, spares(Name(channel), Name(user)) { return }
        let keys = router.keys
        underWayCount += 1
        router.run(
            .leave, keys: [keys.users(channel), keys.userCounts(channel), keys.meta(channel)],
            [
                .text(field), .text(user), .text(keys.live(channel)),
                .bytes(PublicationWriter.announcement(.leave, user, clinux_realtime_milliseconds())),
                // Whoever is not there any more though the node is has been announced when leaving.
                spares == nil ? "?" : "0",
                .text(keys.publishCommand),
            ]
        ) { [self] reply in
            if case .value = reply {} else { hasFailed = true }
            underWayCount -= 1
            pump()
        }
    }

    private func ask(_ command: [RESPArgument], _ body: @escaping (RESPValue) -> Void) {
        underWayCount += 1
        router.send(command) { [self] reply in
            if case .value(let value) = reply { body(value) } else { hasFailed = true }
            underWayCount -= 1
            pump()
        }
    }
}
