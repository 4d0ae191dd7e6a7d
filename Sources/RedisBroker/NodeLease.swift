import Base
import Broker
import NIOCore

/// Keeps this node known to the others, and removes the users of those that are gone.
///
/// A lease of 3/5 of the time is renewed each 1/5 of it, and each 1/5 a node looks for leases that have ended: so a dead
/// node's users are gone within the time.
final class NodeLease {
    private unowned let shard: RedisShard
    /// 1/5 of the time, in milliseconds.
    private let fifth: Int64
    private var beat: Scheduled<Void>?
    private var check: Scheduled<Void>?
    private var repetition: Scheduled<Void>?
    private var hasBeenHeld = false
    private var isStopped = false
    private var removals: [NodeID: NodeRemoval] = [:]

    init(_ shard: RedisShard) {
        self.shard = shard
        fifth = max(1, TimeAmount(shard.options.presenceTTL).nanoseconds / 5_000_000)
    }

    /// Begins on a new connection.
    func connected() {
        renew()
        // The server may have been away, so that all leases have ended: everybody has time to renew them.
        scheduleCheck(after: 4 * fifth)
    }

    func stop() {
        isStopped = true
        beat?.cancel()
        check?.cancel()
        repetition?.cancel()
    }

    /// Takes this node off the server.
    func withdraw(then body: @escaping () -> Void) {
        stop()
        guard hasBeenHeld, let connection = shard.commands.ready else { return body() }
        let keys = shard.keys
        let node = shard.options.node
        connection.send(["DEL", .text(keys.nodeChannels(node))]) { _ in }
        connection.send(["DEL", .text(keys.node(node))]) { _ in }
        connection.send(["SREM", .text(keys.nodes), .text(shard.nodeText)]) { _ in body() }
    }

    private func renew() {
        beat?.cancel()
        guard !isStopped else { return }
        beat = shard.loop.assumeIsolated().scheduleTask(in: .milliseconds(fifth)) { [weak self] in self?.renew() }
        guard let connection = shard.commands.ready else { return }
        let keys = shard.keys
        let node = shard.options.node
        connection.send(["SADD", .text(keys.nodes), .text(shard.nodeText)]) { _ in }
        connection.send([
            "SET", .text(keys.node(node)), .text(shard.options.nodeDescription?.json ?? "{}"), "PX", .number(3 * fifth),
            "GET",
        ]) { [weak self] reply in
            guard let self, !isStopped else { return }
            switch reply {
            case .lost: break
            case .error(let error): shard.noteFault(error)
            case .value(let value):
                if value == .null, hasBeenHeld { wasGone(connection) }
                hasBeenHeld = true
                shard.presence.allow()
            }
        }
    }

    /// The lease had ended, or the server has lost it. Only in the first case did others say that the users are gone.
    private func wasGone(_ connection: RedisConnection) {
        let key = shard.keys.nodeGone(shard.options.node)
        connection.send(["EXISTS", .text(key)]) { [weak self] reply in
            guard let self, !isStopped, case .value(let value) = reply else { return }
            let isSilent = value.number == 0
            shard.presence.writeAgain(isSilent: isSilent)
            connection.send(["DEL", .text(key)]) { _ in }
            // Whoever was about to remove the users may have gone on after they were written.
            repetition?.cancel()
            repetition = shard.loop.assumeIsolated().scheduleTask(in: .milliseconds(5 * fifth)) { [weak self] in
                self?.shard.presence.writeAgain(isSilent: isSilent)
            }
        }
    }

    private func scheduleCheck(after time: Int64) {
        check?.cancel()
        guard !isStopped else { return }
        let jitter = Int64.random(in: 0...max(1, fifth / 4))
        check = shard.loop.assumeIsolated().scheduleTask(in: .milliseconds(time - jitter)) { [weak self] in
            self?.lookForTheGone()
        }
    }

    private func lookForTheGone() {
        scheduleCheck(after: fifth)
        guard let connection = shard.commands.ready else { return }
        connection.send(["SMEMBERS", .text(shard.keys.nodes)]) { [weak self] reply in
            guard let self, case .value(let value) = reply else { return }
            for id in (value.elements ?? []).compactMap({ $0.text.flatMap { NodeID($0) } })
            where id != shard.options.node && removals[id] == nil {
                connection.send(["EXISTS", .text(shard.keys.node(id))]) { [weak self] reply in
                    guard let self, !isStopped, case .value(.integer(0)) = reply, removals[id] == nil else { return }
                    let removal = NodeRemoval(shard, id, connection) { [weak self] in self?.removals[id] = nil }
                    removals[id] = removal
                    removal.start()
                }
            }
        }
    }
}

extension RedisShard {
    /// Asks for the nodes that are there.
    func askForNodes(_ body: @escaping ([NodeDescription]?) -> Void) {
        guard let connection = commands.ready else { return body(nil) }
        connection.send(["SMEMBERS", .text(keys.nodes)]) { [self] reply in
            guard case .value(let value) = reply else { return body(nil) }
            let ids = (value.elements ?? []).compactMap { $0.text.flatMap { NodeID($0) } }
            var found: [NodeDescription] = []
            var missing = ids.count
            if ids.isEmpty { return body([]) }
            for id in ids {
                connection.send(["GET", .text(keys.node(id))]) { reply in
                    if case .value(let value) = reply, let text = value.text {
                        found.append(NodeDescription(id: id, json: text))
                    }
                    missing -= 1
                    if missing == 0 { body(found.sorted { $0.id.rawValue < $1.id.rawValue }) }
                }
            }
        }
    }
}
