import Base
import Broker
import BrokerSupport
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
    /// When the server said last that the lease is held.
    private var heldAt: NIODeadline?
    /// The time before which nobody is taken for gone.
    private var patienceEnd = NIODeadline.uptimeNanoseconds(0)
    /// Whether the server did not take what this node wrote last: others may not be able to renew their leases either.
    private var isRefused = false
    /// Whether users may be missing though the lease is held.
    private var isLossNoted = false
    /// Whether the lease had ended, and the users have not been written again since.
    private var hasBeenGone = false
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
        bePatient()
        if check == nil { scheduleCheck(after: fifth) }
    }

    /// The server may have been away or refused to write, so that all leases have ended. When others are back, they have
    /// the whole time to renew their leases.
    private func bePatient() {
        let pause = Backoff.reconnecting.absenceOfOthers(after: heldAt.map { .now() - $0 } ?? .zero)
        patienceEnd = max(patienceEnd, .now() + .milliseconds(5 * fifth) + pause)
    }

    private var isPatient: Bool { isRefused || NIODeadline.now() < patienceEnd }

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
        router.send(["SADD", .text(router.keys.nodes), .text(router.nodeText)]) { [weak self] in
            guard let self else { return }
            extend(isListed: isTaken($0))
        }
    }

    private func extend(isListed: Bool) {
        guard hasBeenHeld else { return take(isListed: isListed) }
        // A full server refuses SET, but not this.
        router.send(["PEXPIRE", .text(router.keys.node(router.options.node)), .number(3 * fifth)]) { [weak self] in
            guard let self, isTaken($0), case .value(let value) = $0 else { return }
            if value == .integer(1) { held(isNew: false, isListed: isListed) } else { take(isListed: isListed) }
        }
    }

    /// Takes the lease, as the server does not have it.
    private func take(isListed: Bool) {
        router.send([
            "SET", .text(router.keys.node(router.options.node)), .text(router.options.nodeDescription?.json ?? "{}"),
            "PX", .number(3 * fifth), "GET",
        ]) { [weak self] in
            guard let self, isTaken($0), case .value(let value) = $0 else { return }
            held(isNew: value == .null, isListed: isListed)
        }
    }

    /// Whether the server has taken what was written; if not, that is noted.
    private func isTaken(_ reply: RedisConnection.Reply) -> Bool {
        guard !isStopped else { return false }
        if case .value = reply { return true }
        isRefused = true
        if case .error(let error) = reply { router.noteFault(error) }
        return false
    }

    private func held(isNew: Bool, isListed: Bool) {
        let isLossNoted = self.isLossNoted
        self.isLossNoted = false
        if isNew, hasBeenHeld { hasBeenGone = true }
        if hasBeenGone {
            comeBack()
        } else if isLossNoted {
            presence.writeAgain(isSilent: true)
        }
        if isLossNoted { presence.removeForgotten() }
        hasBeenHeld = true
        heldAt = .now()
        if isListed, isRefused {
            isRefused = false
            bePatient()
        }
        presence.allow()
    }

    /// Writes the users again: the lease had ended, or the server has lost it. Only in the first case did others say that the users
    /// are gone. Without an answer it is done again with the next renewal.
    private func comeBack() {
        let key = router.keys.nodeGone(router.options.node)
        router.send(["EXISTS", .text(key)]) { [weak self] reply in
            guard let self, !isStopped, case .value(let value) = reply else { return }
            hasBeenGone = false
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
        guard router.isReachable, !isPatient else { return }
        router.send(["SMEMBERS", .text(router.keys.nodes)]) { [weak self] reply in
            guard let self, case .value(let value) = reply else { return }
            for id in (value.elements ?? []).compactMap({ $0.text.flatMap { NodeID($0) } })
            where id != router.options.node && removals[id] == nil {
                router.send(["EXISTS", .text(router.keys.node(id))]) { [weak self] reply in
                    guard let self, !isStopped, !isPatient, case .value(.integer(0)) = reply, removals[id] == nil
                    else { return }
                    let removal = NodeRemoval(router, id) { [weak self] in self?.removals[id] = nil }
                    removals[id] = removal
                    removal.start()
                }
            }
        }
    }
}
