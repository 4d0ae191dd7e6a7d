import Broker
import NIOCore

// Records.
extension RedisStreamReader {
    /// Gives out again, from the oldest on, what is not acknowledged.
    func readAgain() {
        if holdsLease(for: .zero) { phase = .pending(after: "0") }
    }

    /// Tells Redis what is settled, then reads if somebody waits.
    func pump() {
        guard !isBusy, !isStopped, let connection = link.ready else { return }
        guard settled.isEmpty else { return tellSettled(connection) }
        guard wanted != nil else { return }
        switch phase {
        case .pending(let id) where holdsLease(for: .zero): readPending(after: id, connection)
        // Redis gives out nothing that comes after the end of the lease.
        case .live where holdsLease(for: Self.blockTime * 2): readNew(connection)
        default: break
        }
    }

    private func tellSettled(_ connection: RedisConnection) {
        let rejected = settled.filter { $0.fault != nil && options.deadLetter != nil }
        let groups = [settled.filter { $0.fault == nil || options.deadLetter == nil }] + rejected.map { [$0] }
        settled = []
        isBusy = true
        var missing = groups.count
        for records in groups {
            send(records, connection) { [weak self] reply in
                guard let self else { return }
                if case .value = reply {} else { settled += records }
                missing -= 1
                guard link.ready === connection else { return }
                if missing == 0 { isBusy = false }
                if case .error(let error) = reply { return refused(error, connection) }
                if missing == 0, settled.isEmpty { pump() }
            }
        }
    }

    /// Tells Redis of one record that is rejected, or of several that are not.
    func send(
        _ records: [SettledRecord], _ connection: RedisConnection, _ reply: @escaping (RedisConnection.Reply) -> Void
    ) {
        guard let first = records.first else { return reply(.value(.null)) }
        if let fault = first.fault, let deadLetter = options.deadLetter {
            let keys: [RESPArgument] = [2, .text(options.stream), .text(deadLetter)]
            connection.send(
                ["EVAL", .text(RedisStreamScript.reject)] + keys
                    + [.text(options.group), .text(first.id), .text(fault)], reply)
        } else {
            connection.send(
                ["XACK", .text(options.stream), .text(options.group)] + records.map { .text($0.id) }, reply)
        }
    }

    private func readPending(after id: String, _ connection: RedisConnection) {
        isBusy = true
        let words: [RESPArgument] = [
            .text(options.group), .text(Self.consumer), .text(id), .number(Int64(Self.batchCount)),
            .number(Int64(Self.batchByteCount)), .number(Int64(options.recordByteCount + Self.spareByteCount)),
            .number(Int64(Self.fieldCount)),
        ]
        connection.send(["EVAL", .text(RedisStreamScript.pending), 1, .text(options.stream)] + words) {
            [weak self] in
            guard let self, let value = answer($0, connection) else { return }
            let records = records(value)
            // Unless it is to begin again with the oldest.
            if phase == .pending(after: id) { phase = records.last.map { .pending(after: $0.id) } ?? .live }
            guard !records.isEmpty else {
                nextSweep = ContinuousClock.now + Self.sweepInterval
                return pump()
            }
            give(records)
        }
    }

    private func readNew(_ connection: RedisConnection) {
        isBusy = true
        let count = min(Self.batchCount, max(1, Self.batchByteCount / max(1, largestByteCount)))
        connection.send(
            [
                "XREADGROUP", "GROUP", .text(options.group), .text(Self.consumer), "COUNT", .number(Int64(count)),
                "BLOCK", .number(Int64(Self.blockTime / .milliseconds(1))), "STREAMS", .text(options.stream), ">",
            ]
        ) { [weak self] in
            guard let self, let value = answer($0, connection) else { return }
            let records = value.elements.flatMap { $0.count > 1 ? $0[1] : nil }.map(records) ?? []
            guard let last = records.last else {
                // A read of an earlier reader may have come late.
                if ContinuousClock.now >= nextSweep { readAgain() }
                return pump()
            }
            lastID = last.id
            give(records)
        }
    }

    /// The answer to a reading command, unless the connection has ended or the server has refused it.
    private func answer(_ reply: RedisConnection.Reply, _ connection: RedisConnection) -> RESPValue? {
        guard link.ready === connection else { return nil }
        isBusy = false
        switch reply {
        case .lost: return nil
        case .error(let error):
            refused(error, connection)
            return nil
        case .value(let value):
            tell(.reading)
            return value
        }
    }

    private func give(_ records: [Record]) {
        largestByteCount = records.map(\.byteCount).max() ?? largestByteCount
        guard let waiting = wanted else { return }
        outCount = records.count
        wanted = nil
        waiting(RecordBatch(records, term: term))
    }

    private func records(_ value: RESPValue) -> [Record] {
        (value.elements ?? []).compactMap { entry in
            guard let parts = entry.elements, parts.count == 2, let id = parts[0].text else { return nil }
            let limit = "\(options.recordByteCount + Self.spareByteCount) bytes in \(Self.fieldCount) fields"
            switch parts[1] {
            case .integer(let size): return Record(id: id, .tooLarge(byteCount: Int(clamping: size), limit: limit))
            // A string that is too long has been left out.
            case .array(let words) where words.contains(.null):
                return Record(id: id, .tooLarge(byteCount: nil, limit: limit))
            case .array(let words):
                var fields: [String: [UInt8]] = [:]
                for place in stride(from: 0, to: words.count - 1, by: 2) {
                    if let name = words[place].text, let bytes = words[place + 1].bytes, fields[name] == nil {
                        fields[name] = Array(bytes.readableBytesView)
                    }
                }
                return Record(id: id, .fields(fields))
            default: return Record(id: id, .deleted)
            }
        }
    }
}

extension Record {
    fileprivate var byteCount: Int {
        switch content {
        case .fields(let fields): fields.reduce(0) { $0 + $1.key.utf8.count + $1.value.count }
        case .tooLarge(let byteCount, _): byteCount ?? 0
        case .deleted: 0
        }
    }
}
