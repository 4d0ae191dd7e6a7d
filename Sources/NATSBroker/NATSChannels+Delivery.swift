import Base
import Broker
import BrokerSupport
import NIOCore

// What is delivered of a channel, and what is said of what can't be.
extension NATSChannels {
    /// Takes a message of a channel as it comes in.
    func received(_ name: Name, _ received: NATSMessage) {
        guard let entry = entries[name], let message = StreamMessage(live: received) else { return }
        if message.header == nil {
            core.statistics.damagedMessages += 1
            guard message.seq > 0 else { return }
        }
        // Nodes with other limits of the history publish in another stream, where messages have other numbers.
        func isOfOtherStream() -> Bool {
            guard message.seq > 0, received.header.last("Nats-Stream") != stream(of: entry).name else { return false }
            core.statistics.droppedBatches += 1
            return true
        }
        switch entry.state {
        case .wanted: break
        case .waiting, .syncing:
            if !isOfOtherStream() { held[name, default: HeldMessages()].append(message) }
        case .live:
            if message.seq > 0, message.seq <= entry.tip.seq,
                message.seq < entry.tip.seq || message.identity != entry.last
            {
                // It came late, or the stream has lost some and gives their places again.
                if !isOfOtherStream() {
                    core.statistics.droppedBatches += 1
                    askAgain(name)
                }
            } else if !deliver(message, name), !isOfOtherStream() {
                held[name, default: HeldMessages()].append(message)
                askAgain(name)
            }
        }
    }

    /// Delivers the next message; false if others come before it, so that the stream has to be asked.
    private func deliver(_ message: StreamMessage, _ name: Name) -> Bool {
        guard var entry = entries[name] else { return true }
        guard message.seq > 0 else {
            // No stream keeps it.
            guard let header = message.header, header.count == 0 else {
                core.statistics.damagedMessages += 1
                return true
            }
            if let node = header.node, !isNewUnnumbered(header.number, of: node, name) {
                core.statistics.droppedBatches += 1
                return true
            }
            emitDelivered(message.batch(name.text, entry.tip.position))
            return true
        }
        if message.seq <= entry.tip.seq {
            core.statistics.droppedBatches += 1
            return true
        }
        guard message.previous == entry.tip.seq else { return false }
        guard let header = message.header, message.claimed == message.previous else {
            // Another message was faster, and its publisher sends it again; or it is another program's.
            core.statistics.droppedBatches += 1
            entries[name]?.tip.seq = message.seq
            entries[name]?.last = message.identity
            return true
        }
        // A mark has begun another numbering, or the numbers are not those that follow.
        let known = entry.tip.position
        guard header.epoch == known.epoch, header.last >= known.seq &+ message.count else { return false }
        entry.tip = ChannelTip(seq: message.seq, position: MessagePosition(epoch: known.epoch, seq: header.last))
        entry.last = message.identity
        entry.touchedAt = Self.seconds()
        entries[name] = entry
        if header.last > known.seq &+ message.count {
            // Nothing is missing but numbers, which a message had that does not count.
            core.emit(.gap(channel: name.text, MessagePosition(epoch: known.epoch, seq: header.last - message.count)))
        }
        if !message.publications.isEmpty {
            let batch = message.batch(name.text, entry.tip.position)
            emitDelivered(batch)
            core.statistics.noteLag(of: batch)
        }
        return true
    }

    /// Whether a batch without numbers is another one than the last of its node. What is sent twice, because an answer was
    /// lost, comes one behind the other of that node.
    private func isNewUnnumbered(_ number: UInt64, of node: NodeID, _ name: Name) -> Bool {
        if lastUnnumbered[name]?[node] == nil, lastUnnumbered[name]?.count ?? 0 >= Self.unnumberedNodeCount {
            lastUnnumbered[name] = nil
        }
        return lastUnnumbered[name, default: [:]].updateValue(number, forKey: node) != number
    }

    private func emitDelivered(_ batch: DeliveredBatch) {
        core.statistics.note(delivered: batch)
        core.emit(.delivered(batch))
    }

    /// Takes what a stream has of a channel.
    func take(_ answer: ChannelSync.Answer, _ name: Name) {
        guard let entry = entries[name] else { return }
        let position = answer.tip.position
        // Joins and leaves are in no stream.
        var missesUsers = entry.flags.isSuperset(of: [.isKnown, .missesUsers])
        if entry.flags.contains(.isNew) || !entry.flags.contains(.isKnown) {
            core.emit(.subscribed(channel: name.text, position, history: fresh(answer.batches, entry)))
        } else if !answer.isContinued {
            core.statistics.renumberings += 1
            missesUsers = false
            // What is of the numbering before has no place in this one.
            held[name]?.messages.removeAll { $0.seq > 0 && $0.header?.epoch != position.epoch }
            core.emit(.renumbered(channel: name.text, position, history: fresh(answer.batches, entry)))
        } else if position.seq > entry.tip.position.seq, !fill(answer, entry, name.text) {
            missesUsers = false
        }
        if missesUsers { core.emit(.gap(channel: name.text, position)) }
        entries[name]?.tip = answer.tip
        entries[name]?.last = answer.last
        entries[name]?.touchedAt = Self.seconds()
        // Its place on this connection is known: a hole is one from here on.
        noteRestored(entry)
        entries[name]?.flags = .isKnown
        deliverHeld(name, isProgress: answer.tip.seq != entry.tip.seq)
    }

    /// Delivers what was missed, and says what is missing. Whether nothing is.
    private func fill(_ answer: ChannelSync.Answer, _ entry: NATSChannel, _ channel: String) -> Bool {
        var seq = entry.tip.position.seq
        var isComplete = true
        func note(gapBefore next: UInt64) {
            isComplete = false
            seq = next - 1
            core.emit(.gap(channel: channel, MessagePosition(epoch: answer.tip.position.epoch, seq: seq)))
        }
        // What has come in is not always in the stream any more, and what is in the stream has not always come in.
        let batches = (heldBatches(after: entry.tip, until: answer.tip, channel) + answer.batches)
            .sorted { $0.position.seq < $1.position.seq }
        for batch in batches where batch.position.seq > seq {
            if batch.firstSeq > seq + 1 { note(gapBefore: batch.firstSeq) }
            seq = batch.position.seq
            emitDelivered(batch)
        }
        if answer.tip.position.seq > seq { note(gapBefore: answer.tip.position.seq + 1) }
        if isComplete { core.statistics.gapsFilled += 1 } else { core.statistics.gapsLost += 1 }
        return isComplete
    }

    /// Whether all that comes between two places has come in.
    func holdsAll(after known: ChannelTip, until tip: ChannelTip, _ name: Name) -> Bool {
        var next = known.seq
        for message in held[name]?.messages ?? [] where message.seq > next && message.seq <= tip.seq {
            guard message.previous == next else { return false }
            next = message.seq
        }
        return next == tip.seq
    }

    /// Whether more has come in than is held.
    func hasDropped(_ name: Name) -> Bool { held[name]?.isIncomplete == true }

    /// The batches between two places that have come in.
    private func heldBatches(after known: ChannelTip, until tip: ChannelTip, _ channel: String) -> [DeliveredBatch] {
        (held[Name(channel)]?.messages ?? []).compactMap { message in
            guard message.seq > known.seq, message.seq <= tip.seq, message.count > 0,
                let claimed = message.claimed, claimed == message.previous, let header = message.header,
                header.epoch == tip.position.epoch, message.count...max(message.count, tip.position.seq) ~= header.last
            else { return nil }
            return message.batch(channel, MessagePosition(epoch: header.epoch, seq: header.last))
        }
    }

    /// Delivers what came in while the stream was asked, unless it makes another question necessary.
    ///
    /// - Parameter isProgress: whether the answer was another one than before.
    private func deliverHeld(_ name: Name, isProgress: Bool) {
        guard let held = held.removeValue(forKey: name) else { return becameLive(name) }
        let end = entries[name]?.tip.seq ?? 0
        for (place, message) in held.messages.enumerated() where !deliver(message, name) {
            self.held[name] = held.rest(from: place, end: end)
            return isProgress || place > 0 ? askAgain(name) : askLater(name)
        }
        if held.isIncomplete { askAgain(name) } else { becameLive(name) }
    }

    /// The batches that are not older than the history of a channel may be.
    private func fresh(_ batches: [DeliveredBatch], _ entry: NATSChannel) -> [DeliveredBatch] {
        limits(of: entry).map(batches.fresh) ?? []
    }
}
