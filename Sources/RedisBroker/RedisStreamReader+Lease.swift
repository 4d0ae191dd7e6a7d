import Broker
import BrokerSupport
import NIOCore

// The connection and the lease.
extension RedisStreamReader {
    var leaseKey: String { "\(options.stream):\(options.group):reader" }

    func connected(_ connection: RedisConnection) {
        phase = .standby
        isBusy = false
        makeGroup(connection)
        keepLease()
    }

    private func makeGroup(_ connection: RedisConnection) {
        // A group that has vanished goes on where this node was: a stream that was lost begins again with greater IDs. A
        // node that has not read does not know where the other one was.
        let start = lastID ?? (hasSeenGroup || options.readsFromBeginning ? "0" : "$")
        connection.send(
            ["XGROUP", "CREATE", .text(options.stream), .text(options.group), .text(start), "MKSTREAM"]
        ) { [weak self] reply in
            switch reply {
            case .error(let error) where error.code != "BUSYGROUP": self?.refused(error, connection)
            case .error, .value: self?.hasSeenGroup = true
            case .lost: break
            }
        }
    }

    func lost() {
        phase = .away
        isBusy = false
        timer?.cancel()
        watchdog?.cancel()
        watchdog = nil
        tell(.down(reason: link.problem ?? "not connected"))
    }

    /// Takes the lease or renews it, and does so again after a fifth of its time.
    private func keepLease() {
        guard !isStopped, let connection = link.ready else { return }
        timer?.cancel()
        timer = loop.assumeIsolated().scheduleTask(in: TimeAmount(options.lease / 5)) { [weak self] in
            self?.keepLease()
        }
        watchdog =
            watchdog
            ?? loop.assumeIsolated().scheduleTask(in: TimeAmount(Self.blockTime + Self.patience)) { [weak self] in
                self?.link.drop(because: "did not answer within \((Self.blockTime + Self.patience).secondsText) s")
            }
        let sentAt = ContinuousClock.now
        connection.send(
            [
                "EVAL", .text(RedisStreamScript.lease), 1, .text(leaseKey), .text(identity),
                .number(Int64(options.lease / .milliseconds(1))),
            ]
        ) { [weak self] reply in
            guard let self, link.ready === connection else { return }
            watchdog?.cancel()
            watchdog = nil
            switch reply {
            case .lost: break
            case .error(let error): refused(error, connection)
            case .value(let value):
                link.works()
                value.text == identity ? keep(since: sentAt) : stand(by: value.text ?? "")
            }
        }
        if phase == .live || phase == .standby, ContinuousClock.now >= nextLook { look(connection) }
    }

    private func keep(since sentAt: ContinuousClock.Instant) {
        // It is told late that the lease went on, too: what was asked for meanwhile begins with what is not acknowledged.
        let isNew = leaseEnd.map { $0 <= ContinuousClock.now } ?? true
        // Another node may have had it in between.
        if isNew { term += 1 }
        leaseEnd = sentAt + options.lease
        let (term, end) = (term, leaseEnd)
        change { shared in
            shared.term = term
            shared.until = end
        }
        if isNew || phase == .standby {
            tell(.reading)
            phase = .pending(after: "0")
        }
        pump()
    }

    private func stand(by reader: String) {
        phase = .standby
        leaseEnd = nil
        change { $0.until = nil }
        tell(.standby(reader: String(reader.prefix { $0 != "/" })))
    }

    func holdsLease(for time: Duration) -> Bool {
        guard phase != .away, phase != .standby, let leaseEnd else { return false }
        return ContinuousClock.now + time < leaseEnd
    }

    /// Notes what the server has refused. It is tried again with the next renewal of the lease.
    func refused(_ error: RedisError, _ connection: RedisConnection) {
        guard link.ready === connection else { return }
        switch error.code {
        case "READONLY", "MASTERDOWN": link.drop(because: "takes no writes: \(error.text)")
        case "NOGROUP": makeGroup(connection)
        default: tell(.down(reason: "\(connection.endpoint) refused to have \"\(options.stream)\" read: \(error.text)"))
        }
    }

    /// Learns how many records wait.
    private func look(_ connection: RedisConnection) {
        nextLook = ContinuousClock.now + Self.lookInterval
        connection.send(["XINFO", "GROUPS", .text(options.stream)]) { [self] reply in
            guard case .value(let value) = reply,
                let own = value.elements?.first(where: { $0["name"]?.text == options.group })
            else { return }
            let (lag, pending) = (own["lag"]?.count, own["pending"]?.count)
            change { shared in
                shared.state.lag = lag.map { Int(clamping: $0) }
                shared.state.pending = pending.map { Int(clamping: $0) }
            }
        }
    }

    func change(_ body: (inout ReadingTerm.Value) -> Void) { shared.change(body) }

    func tell(_ phase: SourceState.Phase) { change { $0.state.phase = phase } }
}
