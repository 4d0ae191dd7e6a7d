import Base
import Broker
import BrokerSupport
import NIOCore

/// Finds out where a channel's numbering has come to, and what is to be delivered before that.
final class ChannelSync {
    struct Answer {
        var tip: ChannelTip
        /// The identity of the last message.
        var last: BatchIdentity
        /// Whether what is known of the channel goes on.
        var isContinued: Bool
        /// What is to be delivered, or the history, oldest first.
        var batches: [DeliveredBatch] = []
    }

    enum Outcome {
        case found(Answer)
        /// It has to be asked again at once, or after a pause.
        case again, unknown
    }

    /// The numbers of publications of which the messages are asked for one by one.
    private static let fewCount: UInt64 = 16
    /// What is kept of a history while it is read.
    private static let byteCountLimit = 256 << 20

    private unowned let channels: NATSChannels
    private let name: Name
    private let entry: NATSChannel
    private let stream: ChannelStream
    private let limits: HistoryLimits?
    private let serial: UInt32
    private var done: ((Outcome) -> Void)?
    /// The number of times that a message which is missing may still be waited for.
    private var looksLeft = 50

    /// The time between two of them. Servers before 2.9.16 deliver a message behind the one that follows it, now and then: one
    /// that was stored and can be asked for may be on its way for some 15 ms.
    private static let holePause: TimeAmount = .milliseconds(5)

    init(
        _ channels: NATSChannels, _ name: Name, _ entry: NATSChannel, _ serial: UInt32,
        _ done: @escaping (Outcome) -> Void
    ) {
        self.channels = channels
        self.name = name
        self.entry = entry
        self.serial = serial
        limits = channels.limits(of: entry)
        stream = channels.stream(of: entry)
        self.done = done
    }

    private var core: NATSCore { channels.core }
    /// Whether the answer is still awaited.
    private var isCurrent: Bool { channels.entries[name]?.serial == serial }
    private var isKnown: Bool { entry.flags.contains(.isKnown) }
    private var subject: String { stream.subject(name.text) }

    private func end(_ outcome: Outcome) {
        done?(outcome)
        done = nil
    }

    func begin() {
        core.streams.ensure(stream) { [self] ready in
            guard ready != nil else { return end(.unknown) }
            core.streams.last(stream.name, subject) { [self] found in
                switch found {
                case .unknown:
                    core.streams.forget(stream.name)
                    end(.unknown)
                case .nothing:
                    // A channel that was known is not there any more: its numbers must not be given again.
                    let position = MessagePosition(epoch: core.freshEpoch(), seq: 0)
                    start(ChannelTip(seq: 0, position: position))
                case .message(let message): take(message)
                }
            }
        }
    }

    /// Begins a numbering after a message, unless somebody was faster; then asks again.
    private func start(_ tip: ChannelTip) {
        channels.mark(name, stream, after: tip) { [self] answer in
            switch answer {
            case .stored(let seq) where !isKnown && tip.seq == 0:
                // Nobody has published anything yet, so that this is the answer.
                let identity = BatchIdentity("\(core.nodeText):0")
                let begun = ChannelTip(seq: seq, position: tip.position)
                end(.found(Answer(tip: begun, last: identity, isContinued: false)))
            case .stored, .outrun: end(.again)
            case .refused(let failure):
                core.noteFault("\(core.link.name) answered: \(failure.text)")
                end(.unknown)
            case .nobody, .inProcess, .unknown:
                core.streams.forget(stream.name)
                end(.unknown)
            }
        }
    }

    private func take(_ last: StreamMessage) {
        // What is known has no doubt about it.
        if isKnown, last.seq == entry.tip.seq, last.identity == entry.last, !entry.flags.contains(.isNew) {
            return end(.found(Answer(tip: entry.tip, last: entry.last, isContinued: true)))
        }
        core.streams.settle(stream.name, subject, last) { [self] tip in
            guard let tip else { return end(.unknown) }
            // Another program's, in no form that can be numbered: a mark says where the numbering is.
            if last.header == nil {
                core.statistics.damagedMessages += 1
                return start(tip)
            }
            take(last, tip)
        }
    }

    private func take(_ last: StreamMessage, _ tip: ChannelTip) {
        guard isKnown, tip.position.epoch == entry.tip.position.epoch else {
            return read(from: 1, until: tip, last, isContinued: false)
        }
        if last.seq == entry.tip.seq, last.identity == entry.last {
            return read(from: 1, until: tip, last, isContinued: true)
        }
        // It has lost some, and perhaps given their places to others.
        if last.seq <= entry.tip.seq || tip.position.seq < entry.tip.position.seq { return renumber(tip) }
        read(from: entry.flags.contains(.isNew) ? 1 : entry.tip.seq, until: tip, last, isContinued: true)
    }

    private func renumber(_ tip: ChannelTip) {
        guard isCurrent else { return end(.unknown) }
        start(ChannelTip(seq: tip.seq, position: MessagePosition(epoch: core.freshEpoch(), seq: tip.position.seq)))
    }

    /// Reads what the stream has from a place on.
    private func read(from start: UInt64, until tip: ChannelTip, _ last: StreamMessage, isContinued: Bool) {
        // A message came before the one that it follows, or that one was lost.
        let isHole = isContinued && entry.flags.isDisjoint(with: [.isNew, .isRestoring])
        let isNext =
            isContinued && last.count > 0 && last.seq > entry.tip.seq
            && tip.position.seq &+ 1 &- last.count == entry.tip.position.seq &+ 1
        // Unless another message may have been there before.
        let isLastAll = isNext && isHole && !core.streams.isDoubtful
        let isHeld = isHole && channels.holdsAll(after: entry.tip, until: tip, name)
        if isHole, !isHeld, !isLastAll, looksLeft > 0, core.link.ready != nil, !channels.hasDropped(name) {
            looksLeft -= 1
            core.loop.assumeIsolated().scheduleTask(in: Self.holePause) { [self] in
                guard isCurrent else { return end(.unknown) }
                read(from: start, until: tip, last, isContinued: isContinued)
            }
            return
        }
        // Without a history a stream keeps the last message alone.
        let isOfUse = limits != nil || (isHole || isNext && !entry.flags.contains(.isNew)) && !isLastAll
        guard !isHeld, isOfUse else {
            var answer = Answer(tip: tip, last: last.identity, isContinued: isContinued)
            // The only message that was missed is there.
            if isLastAll, !isHeld { answer.batches = [last.batch(name.text, tip.position)] }
            return end(.found(answer))
        }
        // Where little was missed, all channels of a node are done in the time that the consumers of some would take.
        if start > 1, tip.position.seq &- entry.tip.position.seq <= Self.fewCount, !core.streams.isDoubtful {
            return readFew([last], until: tip)
        }
        readAll(from: start, until: tip, isContinued: isContinued)
    }

    /// Reads what a channel that goes on has missed, from its last message back to the known one. Each says which one it
    /// follows, and a server has a message at once by its number; for the next of a subject it looks at all that other
    /// channels have in between.
    ///
    /// - Parameter messages: what has been read, oldest first.
    private func readFew(_ messages: [StreamMessage], until tip: ChannelTip) {
        guard let first = messages.first, first.seq > entry.tip.seq else { return finish(messages, isContinued: true) }
        // Marks have no numbers, and there may be many of them. Another program's may follow anything.
        guard messages.count <= 2 * Int(Self.fewCount), let previous = first.claimed, previous < first.seq,
            previous >= entry.tip.seq
        else { return readAll(from: entry.tip.seq, until: tip, isContinued: true) }
        core.streams.message(stream.name, subject, previous) { [self] found in
            guard isCurrent else { return end(.unknown) }
            switch found {
            case .message(let message): readFew([message] + messages, until: tip)
            // The stream keeps no more.
            case .nothing: finish(messages, isContinued: true)
            case .unknown: end(.unknown)
            }
        }
    }

    /// Reads what the stream has from a place on, by a consumer.
    private func readAll(from start: UInt64, until tip: ChannelTip, isContinued: Bool) {
        guard let connection = core.link.ready else { return end(.unknown) }
        var messages: [StreamMessage] = []
        var byteCount = 0
        StreamReader.read(
            connection, stream.name, subject, from: .sequence(start), through: tip.seq,
            within: TimeAmount(core.options.requestTimeout)
        ) { [self] message, seq in
            let stored = StreamMessage(seq: seq, header: message.header, payload: message.payload)
            messages.append(stored)
            byteCount += stored.byteCount + 256
            if byteCount > Self.byteCountLimit { trim(&messages, &byteCount) }
        } done: { [self] isComplete in
            guard isComplete, let end = messages.last, end.seq >= tip.seq else { return self.end(.unknown) }
            finish(messages, isContinued: isContinued)
        }
    }

    private func trim(_ messages: inout [StreamMessage], _ byteCount: inout Int) {
        let kept = messages.suffix(messages.count / 2)
        messages = Array(kept)
        byteCount = messages.reduce(0) { $0 + $1.byteCount + 256 }
    }

    private func finish(_ messages: [StreamMessage], isContinued: Bool) {
        let counting = StreamHistory.counting(messages)
        if isContinued, !entry.flags.contains(.isNew), let last = messages.last,
            !counting.contains(where: { $0.seq > entry.tip.seq }), continues(messages)
        {
            // Nothing that is newer counts.
            let tip = ChannelTip(seq: last.seq, position: entry.tip.position)
            return end(.found(Answer(tip: tip, last: last.identity, isContinued: true)))
        }
        guard let end = messages.last, let last = counting.last, let header = last.header else {
            return self.end(.again)
        }
        let tip = ChannelTip(seq: end.seq, position: MessagePosition(epoch: header.epoch, seq: header.last))
        // Of another numbering, which has begun meanwhile.
        if isContinued, header.epoch != entry.tip.position.epoch { return self.end(.again) }
        if isContinued, !continues(messages) { return renumber(tip) }
        var answer = Answer(tip: tip, last: end.identity, isContinued: isContinued)
        for message in counting where message.count > 0 {
            guard let number = message.header?.last, number >= message.count else { continue }
            if isContinued, !entry.flags.contains(.isNew), message.seq <= entry.tip.seq { continue }
            answer.batches.append(message.batch(name.text, MessagePosition(epoch: header.epoch, seq: number)))
        }
        if !isContinued || entry.flags.contains(.isNew) { answer.batches = limited(answer.batches) }
        self.end(.found(answer))
    }

    /// Whether what was read goes on from what is known: it does not if another message has its place, or its numbers.
    private func continues(_ messages: [StreamMessage]) -> Bool {
        guard let first = messages.first(where: { $0.seq >= entry.tip.seq }) else { return true }
        if first.seq == entry.tip.seq { return first.identity == entry.last }
        if let claimed = first.claimed, claimed < entry.tip.seq, !core.streams.isDoubtful { return false }
        guard let number = first.header?.last else { return true }
        return number >= entry.tip.position.seq &+ first.count
    }

    /// The newest batches, as many as the limits of the history allow.
    private func limited(_ batches: [DeliveredBatch]) -> [DeliveredBatch] {
        guard let limits else { return [] }
        var (count, byteCount, first) = (0, 0, batches.endIndex)
        while first > 0, count < limits.messageCount, byteCount < limits.byteCount {
            first -= 1
            count += batches[first].numberedCount
            byteCount += batches[first].publications.count
        }
        return Array(batches[first...])
    }
}
