import Synchronization
import WebSocket

extension Worker {
    /// Acts on what other workers and the control plane have sent.
    func takeLetters() {
        handle.mailbox.takeAll { letter in
            switch letter {
            case .adopt(let descriptor, let address, let port):
                adopt(descriptor, address: address, port: port)
            case .publish(let channel, let segment, let receipt):
                publish(segment, channel: channel, receipt: receipt)
            case .deliver(let name, let publication, let receipt):
                let channel = channels.index(of: name).map { channels[$0] }
                if let channel { deliverHere(publication, of: channel) }
                receipt?.answer(channel?.subscribers.count ?? 0)
            case .interest(let name, let worker, let encodings):
                let index = channels.intern(name)
                let channel = channels[index]
                // What was published before the subscription is not for the newcomer.
                distribute(channel)
                channel.setEncodings(encodings, ofWorker: worker)
                channels.removeIfUnused(index)
            case .fence(let name, let connection):
                if let index = channels.index(of: name) { distribute(channels[index]) }
                context.handles[Int(connection.worker)].mailbox.post(.fenceReached(connection))
            case .fenceReached(let connection):
                let slot = Int(connection.slot)
                guard let record = slab.find(slot: slot, generation: connection.generation),
                    record.pointee.phase == .fenced
                else { break }
                passFence(slot, record)
            case .broadcast(let segment, let receipt):
                receipt.answer(broadcast(segment))
            case .kick(let selection, let code, let reason, let receipt):
                receipt.answer(kick(selection, code, reason))
            case .list(let selection, let start, let limit, let receipt):
                receipt.answer(page(of: selection, from: Int(start), limit: limit))
            case .statistics(let receipt):
                receipt.answer(currentStatistics())
            case .probe(let number):
                handle.answered.store(number, ordering: .releasing)
            case .listen(let sockets, let receipt):
                listen(sockets)
                receipt.answer(())
            case .stopListening(let receipt):
                stopListening()
                receipt.answer(())
            case .drain(let period, let timeout, let reason, let receipt):
                beginDrain(period: period, timeout: timeout, reason: reason, receipt: receipt)
            case .abort:
                abort()
            case .stop:
                stop()
            }
        }
    }

    private func currentStatistics() -> Statistics {
        var current = statistics
        current.channels = channels.count
        return current
    }

    /// Queues a message for every open connection of this worker; returns how many.
    private func broadcast(_ segment: Segment) -> Int {
        let number = turn.add(segment)
        var count = 0
        for slot in 0..<slab.highWater where slab[slot].pointee.phase == .open {
            let record = slab[slot]
            record.pointee.messagesOut &+= UInt64(segment.messageCount)
            turn.push(number, start: 0, end: segment.count, to: record, slot: slot)
            count += 1
        }
        statistics.messagesOut &+= UInt64(count * segment.messageCount)
        return count
    }

    /// Begins to close the selected connections; returns how many.
    private func kick(_ selection: ConnectionSelection, _ code: CloseCode, _ reason: String) -> Int {
        var count = 0
        forEach(selection, from: 0) { slot, record in
            guard record.pointee.phase == .open else { return true }
            beginClose(slot, record, .kicked, code, reason, then: .closing)
            count += 1
            return true
        }
        return count
    }

    private func page(of selection: ConnectionSelection, from start: Int, limit: Int) -> ConnectionPage {
        var page = ConnectionPage(connections: [], next: nil)
        forEach(selection, from: start) { slot, record in
            guard page.connections.count < limit else {
                page.next = UInt32(slot)
                return false
            }
            page.connections.append(snapshot(slot, record))
            return true
        }
        return page
    }

    /// Visits the WebSockets of a selection in the order of their slots, until the body says false.
    private func forEach(
        _ selection: ConnectionSelection, from start: Int,
        _ body: (Int, UnsafeMutablePointer<Connection>) -> Bool
    ) {
        if let ids = selection.ids, start == 0 {
            for id in ids.sorted(by: { $0.slot < $1.slot }) where Int(id.worker) == index {
                let slot = Int(id.slot)
                guard let record = slab.find(slot: slot, generation: id.generation), isSelected(record, selection)
                else {
                    continue
                }
                guard body(slot, record) else { return }
            }
            return
        }
        var slot = start
        while slot < slab.highWater {
            let record = slab[slot]
            if isSelected(record, selection), selection.ids?.contains(id(slot, record)) ?? true {
                guard body(slot, record) else { return }
            }
            slot += 1
        }
    }

    private func isSelected(_ record: UnsafeMutablePointer<Connection>, _ selection: ConnectionSelection) -> Bool {
        // Whoever was never let in is no connection to an operator.
        guard record.pointee.flags.contains(.admitted), record.pointee.phase != .free, record.pointee.phase != .dead
        else { return false }
        if let endpoint = selection.endpoint {
            guard configuration.endpoints[Int(record.pointee.endpoint)].path == endpoint else { return false }
        }
        if let channel = selection.channel {
            guard record.pointee.channel != Connection.noChannel,
                channels[record.pointee.channel].name == channel
            else { return false }
        }
        return selection.matchesAddress?(record.pointee.address) ?? true
    }

    private func snapshot(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> ConnectionSnapshot {
        let connection = record.pointee
        let endpoint = configuration.endpoints[Int(connection.endpoint)]
        let backlog = connection.backlog?._withUnsafeGuaranteedRef { ($0.byteCount, $0.frameCount) } ?? (0, 0)
        let idleTicks = UInt64(now &- connection.lastReceived)
        return ConnectionSnapshot(
            id: id(slot, record), address: connection.address, port: connection.port, endpoint: endpoint.path,
            messageProtocol: endpoint.messageProtocol.rawValue,
            channels: connection.channel == Connection.noChannel ? [] : [channels[connection.channel].name],
            isCompressed: connection.encoding != .plain,
            userAgent: userAgents.text(connection.userAgent), connectedAt: connection.connectedAt,
            idle: .nanoseconds(Int64(idleTicks * Worker.tickNanoseconds)),
            messagesIn: connection.messagesIn, messagesOut: connection.messagesOut,
            bytesIn: connection.bytesIn, bytesOut: connection.bytesOut,
            queuedBytes: backlog.0, queuedMessages: backlog.1, dropped: connection.dropped,
            isClosing: connection.phase != .open
        )
    }
}
