import Base
import Broker
import BrokerSupport
import CLinux
import NIOCore

/// The batches that a server has not answered yet.
final class PublishQueue {
    /// A batch on its way.
    final class Item {
        var id: UInt64
        var batch: OutgoingBatch
        /// Whether it has been handed to a connection at some time.
        var wasWritten = false
        /// Whether its answer is awaited.
        var isWithServer = false
        var writtenAt: UInt64 = 0
        var isAnswered = false
        /// Whether a connection ended before the answer, so that the batch may have been taken.
        var wasLost = false
        /// What the server said when it was tried last.
        var problem: String?

        fileprivate init(_ id: UInt64, _ batch: OutgoingBatch) {
            self.id = id
            self.batch = batch
        }
    }

    private static let retryPause: TimeAmount = .milliseconds(100)

    private unowned let shard: RedisShard
    private var lastID: UInt64 = 0
    /// All that is not answered.
    private var items: [UInt64: Item] = [:]
    /// What is to be written, in order.
    private var waiting = CircularBuffer<Item>()
    /// What is tried again after a pause.
    private var paused: [Item] = []
    private var isPauseScheduled = false
    private var window = SendWindow()
    private var deadlines: DeadlineSweep!
    private var whenEmpty: (() -> Void)?

    init(_ shard: RedisShard) {
        self.shard = shard
        deadlines = DeadlineSweep(shard.loop) { [weak self] in self?.refuseOverdue(at: $0) ?? .max }
    }

    func publish(_ batch: OutgoingBatch) { adopt(Item(0, batch)) }

    /// Takes a batch that another server was to get.
    func adopt(_ item: Item) {
        lastID += 1
        item.id = lastID
        items[lastID] = item
        waiting.append(item)
        shard.statistics.queuedBatches += 1
        shard.statistics.queuedBytes += item.batch.publications.count
        deadlines.note(item.batch.deadline)
    }

    /// Takes out the batches of channels that are on another server now, as far as they are not under way.
    func takeOut(where isMeant: (String) -> Bool) -> [Item] {
        var taken: [Item] = []
        func isTaken(_ item: Item) -> Bool {
            guard !item.isAnswered, isMeant(item.batch.channel) else { return false }
            release(item)
            taken.append(item)
            return true
        }
        waiting.removeAll(where: isTaken)
        paused.removeAll(where: isTaken)
        return taken
    }

    private func release(_ item: Item) {
        items[item.id] = nil
        shard.statistics.queuedBatches -= 1
        shard.statistics.queuedBytes -= item.batch.publications.count
    }

    /// Writes what may be written.
    func pump() {
        guard let connection = shard.commands.ready else { return }
        while let item = waiting.first {
            if !item.isAnswered {
                guard window.hasRoom(for: item.batch.publications.count) else { return }
                write(item, connection)
            }
            waiting.removeFirst()
        }
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

    private func write(
        _ item: Item, _ connection: RedisConnection, asText: Bool = false, isAsking: Bool = false
    ) {
        let batch = item.batch
        let size = batch.publications.count
        if item.wasWritten, !asText { shard.statistics.repeated += 1 }
        item.wasWritten = true
        item.isWithServer = true
        item.writtenAt = NIODeadline.now().uptimeNanoseconds
        window.add(size)
        let reply: (RedisConnection.Reply) -> Void = { [self] reply in
            window.remove(size)
            item.isWithServer = false
            replied(reply, to: item, connection, isAsking)
            pump()
        }
        let keys = shard.keys
        if isAsking { connection.send(["ASKING"]) { _ in } }
        connection.send(reply) { buffer in
            connection.writeCall(
                of: .publish, asText: asText, keyCount: 2, argumentCount: keys.isCluster ? 16 : 15, &buffer)
            buffer.writeArgument(keys.meta(batch.channel))
            buffer.writeArgument(keys.history(batch.channel))
            buffer.writeArgument(keys.live(batch.channel))
            buffer.writeArgument(batch.numberedCount)
            buffer.writeArgument(batch.publications)
            buffer.writeArgument(shard.nodeText)
            buffer.writeArgument(batch.number)
            buffer.writeArgument(shard.freshEpoch())
            let lives = HistoryLives(batch.history)
            buffer.writeArgument(batch.history?.messageCount ?? 0)
            buffer.writeArgument(batch.history?.byteCount ?? 0)
            buffer.writeArgument(lives.history)
            buffer.writeArgument(lives.meta)
            buffer.writeArgument(clinux_realtime_milliseconds() / 1_000)
            let known = lastPosition(of: Name(batch.channel))
            buffer.writeArgument(known?.epoch ?? "")
            buffer.writeArgument(Int64(clamping: known?.seq ?? 0))
            if keys.isCluster { buffer.writeArgument(keys.publishCommand) }
        }
    }

    /// The last position in a channel that this node knows, from what was delivered or acknowledged.
    private func lastPosition(of channel: Name) -> MessagePosition? {
        let acknowledged = shard.surroundings.acknowledged[channel]
        guard let delivered = shard.subscriptions.knownPosition(of: channel) else { return acknowledged }
        guard let acknowledged, acknowledged.epoch == delivered.epoch else { return delivered }
        return acknowledged.seq > delivered.seq ? acknowledged : delivered
    }

    private func replied(
        _ reply: RedisConnection.Reply, to item: Item, _ connection: RedisConnection, _ isAsking: Bool
    ) {
        guard !item.isAnswered else { return }
        switch reply {
        case .lost:
            item.wasLost = true
            waiting.append(item)
        case .error(let error) where error.code == "NOSCRIPT":
            write(item, connection, asText: true, isAsking: isAsking)
        case .error(let error) where error.code == "MOVED":
            item.problem = "\(shard.name) answered: \(error.text)"
            shard.cluster?.noteMove(error, from: shard)
            if let other = shard.cluster?.shard(for: item.batch.channel), other !== shard {
                release(item)
                other.publishing.adopt(item)
                other.publishing.pump()
            } else {
                pause(item)
            }
        case .error(let error) where error.code == "ASK":
            item.problem = "\(shard.name) answered: \(error.text)"
            if let guest = shard.cluster?.guest(error, from: shard) {
                write(item, guest, isAsking: true)
            } else {
                pause(item)
            }
        case .error(let error):
            item.problem = "\(shard.name) answered: \(error.text)"
            shard.noteFault(error)
            if error.isTransient { pause(item) } else { refuse(item, !error.isBeforeScript) }
        case .value(let value):
            guard let answer = value.elements, answer.count == 3, let epoch = answer[0].text, let seq = answer[1].count
            else {
                item.problem = "\(shard.name) gave an answer that is not that of the publish script"
                return refuse(item, true)
            }
            shard.statistics.accepted += 1
            shard.statistics.publishedBytes += UInt64(item.batch.publications.count)
            shard.statistics.roundTrips.record(
                nanoseconds: NIODeadline.now().uptimeNanoseconds &- item.writtenAt)
            let position = MessagePosition(epoch: epoch, seq: seq)
            shard.surroundings.acknowledged.note(position, of: Name(item.batch.channel))
            finish(item, .accepted(channel: item.batch.channel, number: item.batch.number, position))
        }
    }

    private func pause(_ item: Item) {
        paused.append(item)
        guard !isPauseScheduled else { return }
        isPauseScheduled = true
        shard.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            guard let self else { return }
            isPauseScheduled = false
            waiting.append(contentsOf: paused)
            paused.removeAll()
            pump()
        }
    }

    private func refuse(_ item: Item, _ isUncertain: Bool) {
        shard.statistics.refused += 1
        let reason = item.problem ?? shard.problem ?? "\(shard.name) did not answer in time"
        finish(
            item,
            .refused(
                channel: item.batch.channel, number: item.batch.number,
                BrokerRefusal(reason: reason, isUncertain: isUncertain)))
    }

    private func finish(_ item: Item, _ event: BrokerEvent) {
        item.isAnswered = true
        release(item)
        item.batch.publications = []
        shard.emit(event)
        checkEmpty()
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
        for item in overdue.sorted(by: { $0.id < $1.id }) { refuse(item, item.isWithServer || item.wasLost) }
        return next
    }
}

/// How long a server keeps what it has of a channel without being used, in seconds.
struct HistoryLives {
    var history: Int64
    /// Longer than the history, so that its numbers are not given twice.
    var meta: Int64

    init(_ limits: HistoryLimits?) {
        history = limits.map { max(1, $0.age / 1_000 + 1) } ?? 1
        meta = max(86_400, 2 * min(history, .max / 4))
    }
}
