import Base
import Broker
import BrokerSupport
import NIOCore

// The connection, the consumer and the lease.
extension NATSStreamReader {
    func connected(_ connection: NATSConnection) {
        phase = .looking
        complaint = nil
        inbox = connection.ownSubject()
        subscription = connection.subscribe("\(inbox).*") { [weak self] in self?.received($0) }
        tick()
    }

    func lost() {
        stopReading()
        phase = .away
        isAsking = false
        isLooking = false
        settled = unconfirmed + settled
        unconfirmed = []
        if !isStopped { tell(.down(reason: link.problem ?? "not connected")) }
    }

    /// Notes what the server has not let this user do.
    func complained(_ text: String) {
        complaint = text
        tell(.down(reason: text))
    }

    /// Does what is due: five times in the time of a lease.
    func tick() {
        guard let connection = link.ready, !isAsking, !isStopped else { return }
        if let pull, ContinuousClock.now - pull.sentAt > pullTime + Self.patience {
            forgetConsumer()
        }
        guard consumer != nil else { return findStream(connection) }
        keepLease(connection)
        if ContinuousClock.now >= nextLook { look(connection) }
    }

    // MARK: The consumer

    /// Asks something of JetStream's interface; only answers without an error are passed on, or those that `handles` says.
    private func ask(
        _ connection: NATSConnection, _ question: String, _ payload: String = "", handles code: Int? = nil,
        _ body: @escaping (StreamDescription) -> Void
    ) {
        isAsking = true
        connection.request("$JS.API.\(question)", [UInt8](payload.utf8)) { [weak self] answer in
            guard let self, link.ready === connection else { return }
            isAsking = false
            switch answer {
            case .lost: return
            case .late: noAnswer()
            case .nobody:
                refuse(
                    "\(connection.address) has no JetStream for this user; add jetstream {} to its configuration, and "
                        + "permit $JS.API.> to the user")
            case .message(let message):
                guard let reply = StreamDescription(message.payload) else { return noAnswer() }
                if let error = reply.error, error.errCode != code { return refused(error, connection) }
                body(reply)
            }
        }
    }

    /// Looks for the consumer again, at the next tick.
    func forgetConsumer() {
        stopReading()
        if phase != .away { phase = .looking }
    }

    private func stopReading() {
        consumer = nil
        pull = nil
        // A part of what was given out before would come behind the rest.
        if case .collecting = phase { dropBuffer() }
    }

    private func findStream(_ connection: NATSConnection) {
        phase = .looking
        ask(connection, "STREAM.INFO.\(options.stream)") { [self] in findConsumer($0, connection) }
    }

    private func findConsumer(_ stream: StreamDescription, _ connection: NATSConnection) {
        ask(connection, "CONSUMER.INFO.\(options.stream).\(options.group)", handles: 10_014) { [self] found in
            if found.error == nil { return take(found, stream, connection) }
            makeConsumer(stream, connection)
        }
    }

    private func makeConsumer(_ stream: StreamDescription, _ connection: NATSConnection) {
        // A consumer that has vanished goes on where this node was; a stream that is another one begins anew.
        let next = min(heldNumbers.min() ?? .max, lastGiven &+ 1)
        let start: String
        if let created, created != stream.created || stream.config?.retention == "workqueue" {
            start = "\"all\""
        } else if created != nil {
            start = "\"by_start_sequence\",\"opt_start_seq\":\(next)"
        } else {
            start = options.readsFromBeginning ? "\"all\"" : "\"new\""
        }
        let filter = options.subject.isEmpty ? "" : ",\"filter_subject\":\(NATSConnection.quoted(options.subject))"
        let text =
            "{\"stream_name\":\"\(options.stream)\",\"config\":{\"durable_name\":\"\(options.group)\","
            + "\"deliver_policy\":\(start),\"ack_policy\":\"explicit\",\"replay_policy\":\"instant\",\"max_deliver\":-1,"
            + "\"ack_wait\":\(Int64(options.acknowledgementWait / .nanoseconds(1))),"
            + "\"max_ack_pending\":\(Self.batchCount)\(filter)}}"
        ask(connection, "CONSUMER.DURABLE.CREATE.\(options.stream).\(options.group)", text) { [self] made in
            take(made, stream, connection)
        }
    }

    private func take(_ found: StreamDescription, _ stream: StreamDescription, _ connection: NATSConnection) {
        if let reason = found.unfitness(subject: options.subject) {
            return refuse(
                "the consumer \(options.group) of \(options.stream) at \(connection.address) can't be used: \(reason); "
                    + "set another consume.group, or remove the consumer")
        }
        let settings = lease.settings(lease: options.lease, replicas: stream.config?.numReplicas ?? 1)
        // One with other settings is as good.
        ask(connection, "STREAM.CREATE.\(lease.stream)", settings, handles: 10_058) { [self] _ in
            if created != stream.created {
                // Records of the same numbers are others.
                dropHeld()
                (settled, unconfirmed, lastGiven) = ([], [], 0)
            }
            if created != stream.created || consumerCreated != found.created { received = Set(heldNumbers) }
            created = stream.created
            consumerCreated = found.created
            noteAcknowledged(found)
            consumer = found
            phase = .standby
            keepLease(connection)
        }
    }

    private func refuse(_ reason: String) {
        forgetConsumer()
        tell(.down(reason: reason))
    }

    private func refused(_ error: JetStreamReply.Failure, _ connection: NATSConnection) {
        switch error.errCode {
        case 10_059:
            refuse("\(connection.address) has no stream \"\(options.stream)\"; make it, or correct consume.stream")
        case 10_093:
            refuse(
                "\(connection.address): the stream \"\(options.stream)\" has no subjects \"\(options.subject)\"; correct "
                    + "consume.subject, or add them to the stream")
        case 10_101:
            refuse(
                "\(connection.address): the stream \"\(options.stream)\" is a work queue, which is read from its "
                    + "beginning; set consume.from = \"beginning\"")
        case 10_099, 10_100:
            refuse(
                "\(connection.address): another consumer reads the work queue \"\(options.stream)\", and there can be one "
                    + "for each subject; set consume.group to its name, or remove it")
        default: refuse("\(connection.address) refused to have \"\(options.stream)\" read: \(error.text)")
        }
    }

    private func noAnswer() {
        if let complaint { return tell(.down(reason: complaint)) }
        link.drop(because: "answers, but JetStream does not; its cluster may have no leader")
    }

    // MARK: The lease

    private func keepLease(_ connection: NATSConnection) {
        isAsking = true
        let sentAt = ContinuousClock.now
        lease.keep(connection) { [weak self] outcome in
            guard let self, link.ready === connection else { return }
            isAsking = false
            switch outcome {
            case .own(let isClean):
                link.works()
                keep(since: sentAt, isClean: isClean)
            case .others(let reader):
                link.works()
                stand(by: reader)
            case .missing: forgetConsumer()
            case .refused(let failure): refused(failure, connection)
            case .noAnswer: noAnswer()
            }
        }
    }

    private func keep(since sentAt: ContinuousClock.Instant, isClean: Bool) {
        // It is told late that the lease went on, too: what was asked for meanwhile begins with what is not acknowledged.
        let isNew = leaseEnd.map { $0 <= ContinuousClock.now } ?? true
        if isNew {
            // Another node may have had it in between.
            term += 1
            dropHeld()
            received = []
        }
        leaseEnd = sentAt + options.lease
        let (term, end) = (term, leaseEnd)
        change { shared in
            shared.term = term
            shared.until = end
            shared.state.phase = complaint.map { .down(reason: $0) } ?? .reading
        }
        if isNew, isClean { phase = .live } else if isNew || phase == .standby { readAgain(keepingHeld: !isNew) }
        give()
        pump()
    }

    private func stand(by reader: String) {
        phase = .standby
        leaseEnd = nil
        change { $0.until = nil }
        tell(.standby(reader: reader))
    }

    /// Begins again with what is not acknowledged, when the server gives that out again.
    func readAgain(keepingHeld: Bool = false) {
        if !keepingHeld { dropHeld() }
        guard phase != .away, phase != .looking, holdsLease(for: .zero) else { return }
        let wait = consumer?.acknowledgementWait ?? options.acknowledgementWait
        phase = .settling(until: ContinuousClock.now + wait + max(wait / 10, .milliseconds(250)))
    }

    /// Notes how far records have been read, here or by another node.
    private func noteAcknowledged(_ found: StreamDescription) {
        acknowledgedThrough = found.ackFloor?.streamSeq ?? 0
        lastGiven = max(lastGiven, acknowledgedThrough)
        received = received.filter { $0 > acknowledgedThrough }
    }

    /// Learns how many records wait, and whether any is not acknowledged.
    func look(_ connection: NATSConnection) {
        guard !isLooking else { return }
        isLooking = true
        nextLook = ContinuousClock.now + Self.lookInterval
        connection.request("$JS.API.CONSUMER.INFO.\(options.stream).\(options.group)") { [weak self] answer in
            guard let self, link.ready === connection else { return }
            isLooking = false
            guard case .message(let message) = answer, let found = StreamDescription(message.payload) else { return }
            // Without it nobody answers questions for records.
            if found.error != nil || found.created != consumerCreated { return forgetConsumer() }
            noteAcknowledged(found)
            change { shared in
                shared.state.lag = found.numPending
                shared.state.pending = found.numAckPending
            }
            guard case .settling(let end) = phase else { return }
            let count = (found.numAckPending ?? 0) - out.count - buffer.count
            if count <= 0 || ContinuousClock.now >= end {
                phase = count <= 0 ? .live : .collecting(missingCount: min(count, Self.batchCount))
                pump()
            } else {
                loop.assumeIsolated().scheduleTask(in: .milliseconds(100)) { [weak self] in self?.pump() }
            }
        }
    }
}
