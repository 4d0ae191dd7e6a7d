import Base
import Broker
import BrokerSupport

// What the hub is told of subscribed channels.
extension LogPartition {
    /// Tells the hub what it does not know of a subscribed channel, or asks for what is not known here.
    func settle(_ name: Name) {
        guard let row = subscribed[name] else { return }
        guard let entry = channels[name] else { return claim(name, replaced: row.delivered?.epoch) }
        let position = entry.position
        if let delivered = row.delivered, position.epoch == delivered.epoch, position.seq < delivered.seq {
            // Numbers were given that the log does not have: they would be given once more.
            return claim(name, replaced: delivered.epoch)
        }
        if row.isNew, isUsable, returnedProbe >= row.fence {
            channels.setLimits(row.history, of: name)
            subscribed[name]?.isNew = false
            subscribed[name]?.delivered = position
            return core.emit(.subscribed(channel: name.text, position, history: history(of: entry, name, row)))
        }
        guard let delivered = row.delivered, position != delivered else { return }
        if position.epoch != delivered.epoch {
            core.statistics.renumberings += 1
            subscribed[name]?.delivered = position
            core.emit(.renumbered(channel: name.text, position, history: history(of: entry, name, row)))
        } else {
            makeUp(name, entry, from: delivered)
        }
    }

    /// Delivers what members have missed.
    func makeUp(_ name: Name, _ entry: LogChannels.Entry, from delivered: MessagePosition) {
        var last = delivered.seq
        let missed = entry.history(of: name.text, after: last)
        for batch in missed {
            if batch.firstSeq > last + 1 {
                core.statistics.gapsLost += 1
                core.emit(
                    .gap(
                        channel: name.text, MessagePosition(epoch: delivered.epoch, seq: batch.firstSeq &- 1)))
            }
            core.deliver(batch)
            last = batch.position.seq
        }
        if last < entry.position.seq {
            core.statistics.gapsLost += 1
            core.emit(.gap(channel: name.text, entry.position))
        } else {
            core.statistics.gapsFilled += 1
        }
        subscribed[name]?.delivered = entry.position
    }

    func history(of entry: LogChannels.Entry, _ name: Name, _ row: Subscribed) -> [DeliveredBatch] {
        guard let limits = row.history else { return [] }
        return entry.history(of: name.text).fresh(limits)
    }

    /// Has the channel's position said to all, in a new epoch if `replaced` is the present one.
    func claim(_ name: Name, replaced: String? = nil) {
        guard subscribed[name]?.isClaimed == false else { return }
        subscribed[name]?.isClaimed = true
        claims[name] = LogWriter.Claim(name: name, replaced: replaced)
        core.pumpSoon()
    }

    /// Says the numbering of subscribed channels again that nothing was heard of for a while, so that nobody forgets it,
    /// and forgets others.
    func refresh() {
        guard isUsable else { return }
        let window = core.options.window.milliseconds
        // While nothing is written, records have no time that goes on.
        let now = max(time, core.now)
        for (name, row) in subscribed where row.delivered != nil && !row.isClaimed {
            guard let entry = channels[name], now - entry.time > window / 2 else { continue }
            claim(name)
        }
        channels.forget(idleFor: window, now: now) { subscribed[$0] != nil }
    }
}
