import Broker
import BrokerSupport
import NIOCore

// Records.
extension NATSStreamReader {
    /// Tells the server what is settled, then asks for more if somebody waits and nothing is there.
    func pump() {
        guard !isStopped, let connection = link.ready else { return }
        sendSettled(connection)
        guard wanted != nil, out.isEmpty else { return }
        // Nothing comes after the end of the lease.
        let mayAsk = pull == nil && holdsLease(for: pullTime * 2)
        switch phase {
        case .settling where buffer.isEmpty && holdsLease(for: .zero): look(connection)
        case .collecting(let missingCount) where mayAsk:
            ask(connection, atMost: missingCount, byteCount: Self.collectedByteCount)
        case .live where buffer.isEmpty && mayAsk: ask(connection)
        default: break
        }
    }

    /// Acknowledges, and again on the next connection if this one ends before the server has taken it.
    func sendSettled(_ connection: NATSConnection) {
        guard !settled.isEmpty else { return }
        // They are for the stream that was read.
        guard consumer != nil else { return }
        for each in settled { connection.publish(each.reply, [UInt8](each.word.utf8)) }
        let count = settled.count
        unconfirmed += settled
        settled = []
        connection.ping { [weak self] isTaken in
            guard isTaken, let self, link.ready === connection else { return }
            unconfirmed.removeFirst(min(count, unconfirmed.count))
        }
    }

    private func ask(
        _ connection: NATSConnection, atMost limit: Int = batchCount, byteCount: Int = batchByteCount
    ) {
        let count = isLargeNext ? 1 : min(limit, consumer?.batchLimit ?? limit)
        let size = isLargeNext ? "" : ",\"max_bytes\":\(min(byteCount, consumer?.byteLimit ?? byteCount))"
        isLargeNext = false
        lastPull += 1
        pull = Pull(number: lastPull, missingCount: count, sentAt: ContinuousClock.now)
        let text = "{\"batch\":\(count),\"expires\":\(Int64(pullTime / .nanoseconds(1)))\(size)}"
        connection.publish(
            "$JS.API.CONSUMER.MSG.NEXT.\(options.stream).\(options.group)", reply: "\(inbox).\(lastPull)",
            [UInt8](text.utf8))
    }

    /// Takes a record, or what the server says in place of one.
    func received(_ message: NATSMessage) {
        complaint = nil
        guard let delivery = Delivery(message.reply) else {
            // What is said of an earlier question is not of this one.
            guard let status = message.status, let pull, message.subject == "\(inbox).\(pull.number)" else { return }
            return ended(status, message.header.statusText)
        }
        let isOld = delivery.count > 1
        pull?.missingCount -= 1
        if isOld { pull?.hasBroughtOld = true }
        let isFilled = pull.map { $0.missingCount <= 0 } ?? false
        let hasBroughtOld = pull?.hasBroughtOld ?? false
        if isFilled { pull = nil }
        // The server gives it out again, to whoever reads then.
        guard holdsLease(for: .zero), phase == .live || isCollecting else { return }
        let wasHeld = take(message, delivery)
        guard case .collecting(let missingCount) = phase else { return }
        // It gives old records out before new ones: there are no more to come.
        let isOver = isFilled && !hasBroughtOld
        let byteCount = buffer.reduce(0) { $0 + $1.byteCount }
        phase =
            isOver || byteCount > Self.collectedByteCount
            ? .live : .collecting(missingCount: missingCount - (isOld && !wasHeld ? 1 : 0))
    }

    /// Keeps a record that is to be given out. Returns whether it is here already.
    private func take(_ message: NATSMessage, _ delivery: Delivery) -> Bool {
        let id = String(delivery.seq)
        if received.insert(delivery.seq).inserted, delivery.count == 1 || delivery.seq > acknowledgedThrough {
            if received.count > Self.receivedLimit {
                received = Set(received.sorted().suffix(Self.receivedLimit / 2)).union(heldNumbers)
            }
            buffer.append(
                Held(
                    seq: delivery.seq, byteCount: message.payload.readableBytes + message.header.byteCount,
                    reply: message.reply, record: record(id, message)))
            return false
        }
        if out[id] != nil {
            out[id]?.reply = message.reply
            return true
        }
        if let place = buffer.firstIndex(where: { $0.seq == delivery.seq }) {
            buffer[place].reply = message.reply
            return true
        }
        // It has been settled.
        settled.append(Acknowledgement(reply: message.reply, word: "+ACK"))
        return false
    }

    private var isCollecting: Bool { if case .collecting = phase { true } else { false } }

    /// Notes that a question for records has been answered.
    private func ended(_ status: Int, _ words: String) {
        guard status >= 400, let ended = pull else { return }
        pull = nil
        let words = words.lowercased()
        if status == 409, words.contains("batch completed") { return pump() }
        let isTooLarge = status == 409 && words.contains("maxbytes")
        isLargeNext = isTooLarge && buffer.isEmpty && out.isEmpty
        if isTooLarge || ContinuousClock.now - ended.sentAt > pullTime / 2 {
            // Nothing more comes: what is missing was removed from the stream, or has no room here.
            if isCollecting { phase = .live }
            return pump()
        }
        // It was not waited for as asked; the consumer may have gone.
        forgetConsumer()
    }

    /// Gives out what is there, if somebody waits for it.
    func give() {
        if !settled.isEmpty, let connection = link.ready { sendSettled(connection) }
        if case .collecting(let missingCount) = phase {
            guard missingCount <= 0 else { return pump() }
            phase = .live
        }
        guard holdsLease(for: .zero), !isStopped, out.isEmpty, !buffer.isEmpty, let waiting = wanted else {
            return pump()
        }
        wanted = nil
        // The server gives out again in another order than theirs.
        let held = buffer.sorted { $0.seq < $1.seq }
        buffer = []
        lastGiven = max(lastGiven, held.last?.seq ?? 0)
        for each in held { out[each.record.id] = each }
        waiting(RecordBatch(held.map(\.record), term: term))
    }

    private func record(_ id: String, _ message: NATSMessage) -> Record {
        let size = message.payload.readableBytes
        guard size <= options.recordByteCount else {
            return Record(id: id, .tooLarge(byteCount: size, limit: "\(options.recordByteCount) bytes"))
        }
        let header = message.header
        guard header.lineCount <= Self.headerLineCount else {
            let limit = "\(options.recordByteCount) bytes and \(Self.headerLineCount) lines of a header"
            return Record(id: id, .tooLarge(byteCount: size + header.byteCount, limit: limit))
        }
        var fields = header.fields
        fields["subject"] = Array(message.subject.utf8)
        fields["key"] = Array(key(of: message.subject).utf8)
        fields["data"] = Array(buffer: message.payload)
        return Record(id: id, .fields(fields))
    }

    /// What the wildcards of the subject that is read stand for: the rest of a subject from the first one on; all of it if
    /// there is none.
    private func key(of subject: String) -> String {
        let fixed = options.subject.split(separator: ".").prefix { $0 != "*" && $0 != ">" }.count
        let parts = subject.split(separator: ".", omittingEmptySubsequences: false)
        return options.subject.isEmpty || fixed >= parts.count ? subject : parts[fixed...].joined(separator: ".")
    }
}
