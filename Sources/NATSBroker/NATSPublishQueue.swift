import Base
import Broker
import BrokerSupport
import NIOCore

/// The batches that no stream has answered yet.
///
/// A batch says which message it follows in its channel, and which number its last publication has. If another one was
/// faster, the stream refuses it, and it is sent again behind that.
final class NATSPublishQueue {
    /// A batch on its way.
    final class Item {
        fileprivate let id: UInt64
        var batch: OutgoingBatch
        /// What it was said to follow when it was sent last.
        var claim: ChannelTip?
        var wasWritten = false
        /// Whether its answer is awaited.
        var isWithServer = false
        var writtenAt: UInt64 = 0
        /// When it was sent first of the times after which it may have been taken.
        var claimedAt: UInt64 = 0
        var isAnswered = false
        /// Whether no other batch of its channel is before it.
        var isFirst = false
        /// The number of times that the stream said that it does not have it where it counts. Each has an identity of its
        /// own: servers keep that of a message which they refused in a race, and take the same one for a double.
        var attempt = 0
        /// The number of times that another message was faster.
        var raceCount = 0
        /// Whether it was sent without an answer, so that it may have been taken.
        var wasLost = false
        /// What the server said when it was tried last.
        var problem: String?

        fileprivate init(_ id: UInt64, _ batch: OutgoingBatch) {
            self.id = id
            self.batch = batch
        }
    }

    private static let retryPause: TimeAmount = .milliseconds(100)
    /// The times that others may be faster before a batch waits a moment.
    private static let raceCount = 16
    /// The messages that are looked through for a batch that may have been taken.
    private static let searchCount = 64

    private unowned let core: NATSCore
    private var lastID: UInt64 = 0
    /// All that is not answered.
    private var items: [UInt64: Item] = [:]
    private(set) var waiting = CircularBuffer<Item>()
    private var paused: [Item] = []
    /// What waits until its channel's place is known.
    private var parked: [Name: [Item]] = [:]
    /// What waits behind another batch of its channel, for each channel with one on its way.
    private var following: [Name: CircularBuffer<Item>] = [:]
    private var isPauseScheduled = false
    private var window = SendWindow()
    private var deadlines: DeadlineSweep!
    private var whenEmpty: (() -> Void)?

    init(_ core: NATSCore) {
        self.core = core
        deadlines = DeadlineSweep(core.loop) { [weak self] in self?.refuseOverdue(at: $0) ?? .max }
    }

    func publish(_ batch: OutgoingBatch) {
        lastID += 1
        let item = Item(lastID, batch)
        items[lastID] = item
        let name = Name(batch.channel)
        if following[name] == nil {
            following[name] = []
            item.isFirst = true
            waiting.append(item)
        } else {
            following[name]?.append(item)
        }
        core.statistics.queuedBatches += 1
        core.statistics.queuedBytes += batch.publications.count
        deadlines.note(batch.deadline)
    }

    /// Writes what may be written.
    func pump() {
        guard core.link.ready != nil else { return }
        while let item = waiting.first {
            if !item.isAnswered, !window.hasRoom(for: item.batch.publications.count) { return }
            waiting.removeFirst()
            if !item.isAnswered { prepare(item) }
        }
    }

    /// Notes that a channel's place is known, or that it is not subscribed any more.
    func channelChanged(_ name: Name) {
        guard let items = parked.removeValue(forKey: name) else { return }
        waiting.append(contentsOf: items)
        pump()
    }

    /// Calls `body` as soon as all is answered.
    func whenEmpty(_ body: @escaping () -> Void) {
        whenEmpty = body
        checkEmpty()
    }

    /// Refuses all that is not answered.
    func refuseAll() {
        for item in items.values.sorted(by: { $0.id < $1.id }) { refuse(item, item.isWithServer || item.wasLost) }
    }

    // MARK: On the way

    private func prepare(_ item: Item) {
        let name = Name(item.batch.channel)
        let stream = core.subjects.stream(item.batch.history)
        let numbering = core.channels.numbering(of: name)
        if numbering.isExpected {
            parked[name, default: []].append(item)
            return
        }
        // What may have been taken is sent again as it was, so that the stream recognises it.
        if let tip = item.wasLost ? item.claim ?? numbering.tip : numbering.tip, core.streams.isReady(stream.name) {
            return write(item, tip, stream)
        }
        begin(item)
        core.streams.ensure(stream) { [self] ready in
            guard ready != nil, !item.isAnswered else { return again(item) }
            core.streams.last(stream.name, stream.subject(item.batch.channel)) { [self] found in
                switch found {
                case .unknown:
                    core.streams.forget(stream.name)
                    return again(item)
                case .nothing:
                    core.channels.note(
                        ChannelTip(seq: 0, position: MessagePosition(epoch: core.freshEpoch(), seq: 0)), name)
                case .message(let message): return settle(item, stream, message)
                }
                end(item)
                if !item.isAnswered { waiting.append(item) }
                pump()
            }
        }
    }

    /// Sends an item behind the last message of its channel.
    private func settle(_ item: Item, _ stream: ChannelStream, _ last: StreamMessage) {
        core.streams.settle(stream.name, stream.subject(item.batch.channel), last) { [self] tip in
            guard let tip else { return again(item) }
            core.channels.note(tip, Name(item.batch.channel))
            end(item)
            if !item.isAnswered { waiting.append(item) }
            pump()
        }
    }

    private func begin(_ item: Item) {
        item.isWithServer = true
        window.add(item.batch.publications.count)
    }

    private func end(_ item: Item, _ size: Int? = nil) {
        item.isWithServer = false
        window.remove(size ?? item.batch.publications.count)
    }

    /// Tries an item once more after a pause.
    private func again(_ item: Item, _ size: Int? = nil) {
        end(item, size)
        if !item.isAnswered { pause(item) }
        pump()
    }

    private func write(_ item: Item, _ tip: ChannelTip, _ stream: ChannelStream) {
        guard let connection = core.link.ready else { return waiting.append(item) }
        let batch = item.batch
        let size = batch.publications.count
        let isNumbered = batch.numberedCount > 0
        let position = MessagePosition(
            epoch: tip.position.epoch, seq: tip.position.seq &+ UInt64(clamping: batch.numberedCount))
        let head = "\(position.seq):\(batch.numberedCount):\(position.epoch):\(core.nodeText):\(batch.number):"
        // The header counts, too.
        guard head.utf8.count + size + 512 <= connection.maximumPayload else {
            item.problem =
                "\(connection.address) takes \(connection.maximumPayload) bytes at once, and the messages have \(size); "
                + "raise max_payload there"
            return refuse(item, false, isFinal: true)
        }
        if item.wasWritten { core.statistics.repeated += 1 }
        item.wasWritten = true
        item.claim = tip
        item.writtenAt = NIODeadline.now().uptimeNanoseconds
        if !item.wasLost { item.claimedAt = item.writtenAt }
        begin(item)
        let write: (inout ByteBuffer) -> Void = { buffer in
            buffer.writeString(head)
            buffer.writeBytes(batch.publications)
        }
        let total = head.utf8.count + size
        guard isNumbered else {
            connection.publish(core.subjects.live(batch.channel), reply: "", header: [], size: total, write)
            connection.ping { [self] isTaken in
                end(item, size)
                if isTaken { accept(item, position) } else { lose(item) }
                pump()
            }
            return
        }
        core.streams.store(
            stream.subject(batch.channel), after: tip.seq,
            identity: "\(core.nodeText).\(String(item.id, radix: 36)).\(item.attempt)",
            size: total, write
        ) { [self] answer in
            end(item, size)
            guard !item.isAnswered else { return pump() }
            answered(answer, item, tip, position, stream)
            pump()
        }
    }

    private func answered(
        _ answer: StreamAnswer, _ item: Item, _ tip: ChannelTip, _ position: MessagePosition, _ stream: ChannelStream
    ) {
        let name = Name(item.batch.channel)
        switch answer {
        case .stored(let seq):
            if core.streams.isDoubtful { return check(item, seq, tip, position, stream) }
            core.channels.note(ChannelTip(seq: seq, position: position), name)
            accept(item, position)
        case .outrun:
            core.channels.forgetTip(name)
            if item.wasLost { search(item, tip.seq + 1, stream, Self.searchCount) } else { outrun(item, tip) }
        case .refused(let failure):
            let text = "\(core.link.name) answered: \(failure.text)"
            item.problem = text
            core.noteFault(text)
            if failure.isTransient { pause(item) } else { refuse(item, false) }
        case .nobody:
            item.problem =
                "\(core.link.name): nobody takes what is for the stream \(stream.name); it may have no leader"
            core.streams.forget(stream.name)
            pause(item)
        case .inProcess:
            item.wasLost = true
            search(item, tip.seq + 1, stream, Self.searchCount, isInProcess: true)
        case .unknown:
            core.streams.forget(stream.name)
            lose(item)
        }
    }

    /// Sees whether a stored batch follows what it claims to follow, and sends it again if not.
    private func check(
        _ item: Item, _ seq: UInt64, _ tip: ChannelTip, _ position: MessagePosition, _ stream: ChannelStream
    ) {
        begin(item)
        core.streams.next(stream.name, stream.subject(item.batch.channel), from: tip.seq + 1) { [self] found in
            end(item)
            defer { pump() }
            guard !item.isAnswered else { return }
            guard case .message(let message) = found else { return lose(item) }
            guard message.seq == seq else {
                core.channels.forgetTip(Name(item.batch.channel))
                return outrun(item, tip)
            }
            core.channels.note(ChannelTip(seq: seq, position: position), Name(item.batch.channel))
            accept(item, position)
        }
    }

    /// Sends an item behind the message that was faster.
    private func outrun(_ item: Item, _ tip: ChannelTip) {
        item.attempt += 1
        item.claim = nil
        item.wasLost = false
        item.raceCount += 1
        item.problem = "\(core.link.name): other messages of the channel came first, \(item.raceCount) times"
        guard item.raceCount % Self.raceCount != 0 else { return pause(item) }
        let name = Name(item.batch.channel)
        let numbering = core.channels.numbering(of: name)
        // Its own subscription has not got that message yet, so the stream is asked.
        if let known = numbering.tip, known.seq <= tip.seq {
            let stream = core.subjects.stream(item.batch.history)
            begin(item)
            core.streams.last(stream.name, stream.subject(item.batch.channel)) { [self] found in
                guard case .message(let message) = found, message.seq > tip.seq else {
                    // It has less than was known: the channel has to be looked at first.
                    core.channels.askAgain(name)
                    return again(item)
                }
                settle(item, stream, message)
            }
        } else {
            waiting.append(item)
        }
    }

    /// Looks whether a batch was taken whose answer was lost.
    ///
    /// - Parameter isInProcess: whether the stream may be about to take it, as long as nothing else has come behind what it
    ///   follows.
    private func search(
        _ item: Item, _ seq: UInt64, _ stream: ChannelStream, _ left: Int, isInProcess: Bool = false
    ) {
        begin(item)
        core.streams.next(stream.name, stream.subject(item.batch.channel), from: seq) { [self] found in
            end(item)
            defer { pump() }
            guard !item.isAnswered else { return }
            switch found {
            case .unknown: pause(item)
            case .nothing where isInProcess: pause(item)
            case .nothing: outrun(item, ChannelTip(seq: 0, position: MessagePosition(epoch: "", seq: 0)))
            case .message(let message):
                if let header = message.header, header.node == core.options.node, header.number == item.batch.number,
                    message.claimed == seq - 1
                {
                    return accept(item, MessagePosition(epoch: header.epoch, seq: header.last))
                }
                // The one that it follows is not there any more, as this one may not be.
                let isBehindOther = (message.claimed ?? .max) >= seq
                if core.streams.hasForgotten(since: item.claimedAt), isBehindOther || left == 1 {
                    item.problem =
                        "\(core.link.name): the answer was lost, and the stream \(stream.name) can't say any more whether it "
                        + "was taken"
                    return refuse(item, true)
                }
                if left > 1 { return search(item, message.seq + 1, stream, left - 1) }
                outrun(item, ChannelTip(seq: 0, position: MessagePosition(epoch: "", seq: 0)))
            }
        }
    }

    private func lose(_ item: Item) {
        guard !item.isAnswered else { return }
        item.wasLost = true
        waiting.append(item)
    }

    private func accept(_ item: Item, _ position: MessagePosition) {
        guard !item.isAnswered else { return }
        core.statistics.accepted += 1
        core.statistics.publishedBytes += UInt64(item.batch.publications.count)
        core.statistics.roundTrips.record(nanoseconds: NIODeadline.now().uptimeNanoseconds &- item.writtenAt)
        finish(item, .accepted(channel: item.batch.channel, number: item.batch.number, position))
    }

    private func pause(_ item: Item) {
        paused.append(item)
        guard !isPauseScheduled else { return }
        isPauseScheduled = true
        core.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            guard let self else { return }
            isPauseScheduled = false
            waiting.append(contentsOf: paused)
            paused.removeAll()
            pump()
        }
    }

    private func refuse(_ item: Item, _ isUncertain: Bool, isFinal: Bool = false) {
        guard !item.isAnswered else { return }
        core.statistics.refused += 1
        let reason = item.problem ?? core.problem ?? "\(core.link.name) did not answer in time"
        finish(
            item,
            .refused(
                channel: item.batch.channel, number: item.batch.number,
                BrokerRefusal(reason: reason, isUncertain: isUncertain, isFinal: isFinal)))
    }

    private func finish(_ item: Item, _ event: BrokerEvent) {
        item.isAnswered = true
        items[item.id] = nil
        core.statistics.queuedBatches -= 1
        core.statistics.queuedBytes -= item.batch.publications.count
        core.emit(event)
        goOn(Name(item.batch.channel), after: item)
        checkEmpty()
    }

    /// Lets the next batch of a channel go.
    private func goOn(_ name: Name, after item: Item) {
        guard item.isFirst else { return }
        while let next = following[name]?.popFirst() {
            guard !next.isAnswered else { continue }
            next.isFirst = true
            return waiting.append(next)
        }
        following[name] = nil
    }

    private func checkEmpty() {
        guard items.isEmpty, let body = whenEmpty else { return }
        whenEmpty = nil
        body()
    }

    /// Refuses what is overdue; returns the next deadline.
    private func refuseOverdue(at now: UInt64) -> UInt64 {
        var next = UInt64.max
        var overdue: [Item] = []
        for item in items.values {
            if item.batch.deadline <= now { overdue.append(item) } else { next = min(next, item.batch.deadline) }
        }
        for item in overdue.sorted(by: { $0.id < $1.id }) {
            refuse(item, item.wasWritten && (item.isWithServer || item.wasLost))
        }
        dropAnswered()
        return next
    }

    /// Lets go of what was refused before it could be sent: without a connection nothing else does.
    private func dropAnswered() {
        waiting.removeAll(where: \.isAnswered)
        paused.removeAll(where: \.isAnswered)
        for name in following.keys { following[name]?.removeAll(where: \.isAnswered) }
        for (name, items) in parked {
            let left = items.filter { !$0.isAnswered }
            parked[name] = left.isEmpty ? nil : left
        }
    }
}
