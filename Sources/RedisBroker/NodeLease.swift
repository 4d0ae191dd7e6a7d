import Base
import Broker
import NIOCore

/// Keeps this node known to the others, and removes the users of those that are gone.
///
/// A lease of 3/5 of the time is renewed each 1/5 of it, and each 1/5 a node looks for leases that have ended: so a dead
/// node's users are gone within the time.
final class NodeLease {
    private unowned let router: any RedisRouter
    private unowned let presence: PresenceKeeper
    /// 1/5 of the time, in milliseconds.
    private let fifth: Int64
    private var beat: Scheduled<Void>?
    private var check: Scheduled<Void>?
    private var repetition: Scheduled<Void>?
    private var hasBeenHeld = false
    /// Whether users may be missing though the lease is held.
    private var isLossNoted = false
    private var isStopped = false
    private var removals: [NodeID: NodeRemoval] = [:]

    init(_ router: any RedisRouter, _ presence: PresenceKeeper) {
        self.router = router
        self.presence = presence
        fifth = max(1, TimeAmount(router.options.presenceTTL).nanoseconds / 5_000_000)
    }

    /// Begins on a new connection.
    func connected() {
        renew()
        // The server may have been away, so that all leases have ended: everybody has time to renew them.
        scheduleCheck(after: 4 * fifth)
    }

    /// Notes that a server has lost data. What others know of this node has to be known before its users are written.
    func noteLoss() {
        isLossNoted = true
        renew()
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
        guard hasBeenHeld else { return body() }
        let keys = router.keys
        let node = router.options.node
        var missing = 3
        let replied: (RedisConnection.Reply) -> Void = { _ in
            missing -= 1
            if missing == 0 { body() }
        }
        router.send(["DEL", .text(keys.nodeChannels(node))], replied)
        router.send(["DEL", .text(keys.node(node))], replied)
        router.send(["SREM", .text(keys.nodes), .text(router.nodeText)], replied)
    }

    private func renew() {
        beat?.cancel()
        guard !isStopped else { return }
        beat = router.loop.assumeIsolated().scheduleTask(in: .milliseconds(fifth)) { [weak self] in self?.renew() }
        guard router.isReachable else { return }
        let keys = router.keys
        let node = router.options.node
        router.send(["SADD", .text(keys.nodes), .text(router.nodeText)]) { _ in }
        router.send([
            "SET", .text(keys.node(node)), .text(router.options.nodeDescription?.json ?? "{}"), "PX",
            .number(3 * fifth), "GET",
        ]) { [weak self] reply in
            guard let self, !isStopped else { return }
            switch reply {
            case .lost: break
            case .error(let error): router.noteFault(error)
            case .value(let value):
                let isLossNoted = self.isLossNoted
                self.isLossNoted = false
                if value == .null, hasBeenHeld {
                    wasGone()
                } else if isLossNoted {
                    presence.writeAgain(isSilent: true)
                }
                if isLossNoted { presence.removeForgotten() }
                hasBeenHeld = true
                presence.allow()
            }
        }
    }

    /// The lease had ended, or the server has lost it. Only in the first case did others say that the users are gone.
    private func wasGone() {
        let key = router.keys.nodeGone(router.options.node)
        router.send(["EXISTS", .text(key)]) { [weak self] reply in
            guard let self, !isStopped, case .value(let value) = reply else { return }
            let isSilent = value.number == 0
            presence.writeAgain(isSilent: isSilent)
            router.send(["DEL", .text(key)]) { _ in }
            // Whoever was about to remove the users may have gone on after they were written.
            repetition?.cancel()
            repetition = router.loop.assumeIsolated().scheduleTask(in: .milliseconds(5 * fifth)) { [weak self] in
                self?.presence.writeAgain(isSilent: isSilent)
            }
        }
    }

    private func scheduleCheck(after time: Int64) {
        check?.cancel()
        guard !isStopped else { return }
        let jitter = Int64.random(in: 0...max(1, fifth / 4))
        check = router.loop.assumeIsolated().scheduleTask(in: .milliseconds(time - jitter)) { [weak self] in
            self?.lookForTheGone()
        }
    }

    private func lookForTheGone() {
        scheduleCheck(after: fifth)
        guard router.isReachable else { return }
        router.send(["SMEMBERS", .text(router.keys.nodes)]) { [weak self] reply in
            guard let self, case .value(let value) = reply else { return }
            for id in (value.elements ?? []).compactMap({ $0.text.flatMap { NodeID($0) } })
            where id != router.options.node && removals[id] == nil {
                router.send(["EXISTS", .text(router.keys.node(id))]) { [weak self] reply in
                    guard let self, !isStopped, case .value(.integer(0)) = reply, removals[id] == nil else { return }
                    let removal = NodeRemoval(router, id) { [weak self] in self?.removals[id] = nil }
                    removals[id] = removal
                    removal.start()
                }
            }
        }
    }
}
