import Base
import Broker
import BrokerSupport
import NIOCore

// What is delivered of a channel, and what is said of what can't be.
extension Subscriptions {
    /// Takes a message of a channel as it comes in.
    func received(_ name: Name, _ message: ByteBuffer) {
        guard let index = entries.index(forKey: name) else { return }
        guard let batch = DeliveredBatch(channel: entries.keys[index].text, message: message) else {
            shard.statistics.damagedMessages += 1
            return
        }
        switch entries.values[index].state {
        // What was on its way when the channel was unsubscribed.
        case .wanted: break
        case .confirming, .waiting, .syncing: hold(batch, of: name)
        case .live:
            if !deliver(batch, index) {
                hold(batch, of: name)
                askAgain(name)
            }
        }
    }

    /// Delivers the next batch; false if others come before it, so that the server has to be asked.
    private func deliver(_ batch: DeliveredBatch, _ index: Dictionary<Name, ChannelEntry>.Index) -> Bool {
        let entry = entries.values[index]
        // Only what has no number can be published to a channel of which nothing is known.
        guard batch.position.epoch == entry.epoch || batch.position.epoch.isEmpty && batch.numberedCount == 0 else {
            return false
        }
        if batch.numberedCount == 0 {
            guard batch.position.seq <= entry.seq else { return false }
            var batch = batch
            batch.position = entry.position
            emitDelivered(batch)
            return true
        }
        if batch.position.seq <= entry.seq {
            shard.statistics.droppedBatches += 1
            return true
        }
        guard batch.firstSeq == entry.seq + 1 else { return false }
        entries.values[index].seq = batch.position.seq
        entries.values[index].last = BatchIdentity(batch)
        emitDelivered(batch)
        shard.statistics.noteLag(of: batch)
        return true
    }

    private func emitDelivered(_ batch: DeliveredBatch) {
        shard.statistics.note(delivered: batch)
        shard.emit(.delivered(batch))
    }

    /// Takes what the server says of a channel.
    func take(_ answer: ChannelAnswer, _ name: Name) {
        guard let index = entries.index(forKey: name) else { return }
        let entry = entries.values[index]
        let channel = entries.keys[index].text
        // The server has lost the channel since it was asked before.
        if answer.position.epoch.isEmpty { return askLater(name) }
        if hasLost(answer, entry, name) { return renumber(name, from: answer.position.epoch) }
        if entry.flags.contains(.isNew) || !entry.flags.contains(.isKnown) {
            if entry.flags.contains(.isKnown) { deliverHeld(name, index, until: answer.position) }
            begin(answer, index)
            shard.emit(.subscribed(channel: channel, answer.position, history: fresh(answer.batches, entry)))
            if entry.flags.isSuperset(of: [.isKnown, .isCut]) { noteMissingUsers(index) }
        } else if answer.position.epoch != entry.epoch {
            begin(answer, index)
            shard.statistics.renumberings += 1
            shard.emit(.renumbered(channel: channel, answer.position, history: fresh(answer.batches, entry)))
        } else {
            let isTold = fill(answer, index, channel, heldBatches(of: name))
            if entry.flags.contains(.isCut), !isTold { noteMissingUsers(index) }
        }
        entries.values[index].flags.remove(.isCut)
        deliverHeld(name, index)
    }

    /// Whether the server has fewer batches of an epoch, or others, than were delivered or acknowledged here.
    private func hasLost(_ answer: ChannelAnswer, _ entry: ChannelEntry, _ name: Name) -> Bool {
        if let last = shard.surroundings.acknowledged[name], last.epoch == answer.position.epoch,
            last.seq > answer.position.seq
        {
            return true
        }
        return entry.flags.contains(.isKnown) && entry.epoch == answer.position.epoch && !answer.continues(entry)
    }

    /// Tells the members of a channel that joins and leaves may be missing.
    private func noteMissingUsers(_ index: Dictionary<Name, ChannelEntry>.Index) {
        let name = entries.keys[index]
        guard shard.announcesUsers(of: name) else { return }
        shard.emit(.gap(channel: name.text, entries.values[index].position))
    }

    private func begin(_ answer: ChannelAnswer, _ index: Dictionary<Name, ChannelEntry>.Index) {
        entries.values[index].epoch = answer.position.epoch
        entries.values[index].seq = answer.position.seq
        entries.values[index].last = answer.last
    }

    /// Delivers what was missed, from the history and from what came in since, and says what is missing. Whether something
    /// is.
    private func fill(
        _ answer: ChannelAnswer, _ index: Dictionary<Name, ChannelEntry>.Index, _ channel: String,
        _ held: [DeliveredBatch]
    ) -> Bool {
        var seq = entries.values[index].seq
        guard answer.position.seq > seq else { return false }
        var isComplete = true
        func note(gapBefore next: UInt64) {
            isComplete = false
            seq = next - 1
            shard.emit(.gap(channel: channel, MessagePosition(epoch: answer.position.epoch, seq: seq)))
        }
        // Without a history, the batch by which a gap was noticed is only here.
        let stored = answer.batches.last?.position.seq ?? seq
        let others = held.filter { batch in
            batch.numberedCount > 0 && batch.position.epoch == answer.position.epoch && batch.firstSeq > stored
                && batch.position.seq <= answer.position.seq
        }
        for batch in answer.batches + others where batch.position.seq > seq {
            if batch.firstSeq > seq + 1 { note(gapBefore: batch.firstSeq) }
            seq = batch.position.seq
            emitDelivered(batch)
        }
        if answer.position.seq > seq { note(gapBefore: answer.position.seq + 1) }
        if isComplete { shard.statistics.gapsFilled += 1 } else { shard.statistics.gapsLost += 1 }
        entries.values[index].seq = answer.position.seq
        entries.values[index].last = answer.last
        return !isComplete
    }

    /// Delivers what came in while the server was asked and is not beyond a position, as far as nothing is missing before.
    private func deliverHeld(_ name: Name, _ index: Dictionary<Name, ChannelEntry>.Index, until last: MessagePosition) {
        guard var rest = release(name) else { return }
        while let batch = rest.batches.first, batch.position.epoch == last.epoch, batch.position.seq <= last.seq,
            deliver(batch, index)
        {
            rest.removeFirst()
        }
        heldByteCount += rest.byteCount
        held[name] = rest
    }

    /// Delivers what came in while the server was asked, unless it makes another question necessary.
    private func deliverHeld(_ name: Name, _ index: Dictionary<Name, ChannelEntry>.Index) {
        entries.values[index].flags.remove(.isNew)
        entries.values[index].flags.insert(.isKnown)
        guard let held = release(name) else { return becameLive(index) }
        for (place, batch) in held.batches.enumerated() {
            if deliver(batch, index) { continue }
            if place < held.coveredCount {
                // The server has been asked since, so that it is of an epoch that has ended.
                shard.statistics.droppedBatches += 1
                continue
            }
            for batch in held.batches[place...] { hold(batch, of: name) }
            return askAgain(name)
        }
        if held.isIncomplete { askAgain(name) } else { becameLive(index) }
    }

    /// Holds a batch until the position of its channel is known.
    private func hold(_ batch: DeliveredBatch, of name: Name) {
        var batches = held.removeValue(forKey: name) ?? HeldBatches()
        heldByteCount -= batches.byteCount
        batches.append(batch, besides: heldByteCount)
        if batches.isIncomplete { entries[name]?.flags.insert(.isCut) }
        heldByteCount += batches.byteCount
        held[name] = batches
    }

    /// What is held of a channel.
    private func heldBatches(of name: Name) -> [DeliveredBatch] { held[name]?.batches ?? [] }

    /// Takes what is held of a channel; nil if nothing is.
    @discardableResult
    func release(_ name: Name) -> HeldBatches? {
        guard let batches = held.removeValue(forKey: name) else { return nil }
        heldByteCount -= batches.byteCount
        return batches
    }

    /// The batches that are not older than the history of a channel may be.
    private func fresh(_ batches: [DeliveredBatch], _ entry: ChannelEntry) -> [DeliveredBatch] {
        limits(of: entry).map(batches.fresh) ?? []
    }
}
