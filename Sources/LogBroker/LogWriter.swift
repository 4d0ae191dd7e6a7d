import Base
import Broker
import BrokerSupport
import NIOCore

/// What this node appends to one partition, in order.
///
/// A record is numbered when it is appended first. If the broker may have it though it did not say so, it is appended
/// again with the same number, by which readers know it. A batch is accepted when it has been read, in its place.
final class LogWriter {
    /// Something to append.
    enum Payload {
        case batch(OutgoingBatch)
        case claims([Claim])
        case content(LogRecord.Content)
    }

    /// A channel whose position is to be said, in a new epoch if it is `replaced` at present.
    struct Claim {
        var name: Name
        var replaced: String?
    }

    /// The bytes of names from which a record of claims or users takes no more.
    static let recordByteCount = 128 * 1_024

    private final class Item {
        let payload: Payload
        /// The place in the order in which items came.
        let order: UInt64
        var serial: UInt64 = 0
        var writtenAt: UInt64 = 0
        /// Whether the broker may have it.
        var isWithBroker = false
        /// Whether the broker may have it by its serial number from an attempt that is over, whatever becomes of a later
        /// one: then it is appended by no other number.
        var mayBeThere = false
        var isAnswered = false

        init(_ payload: Payload, _ order: UInt64) {
            self.payload = payload
            self.order = order
        }

        /// Whether it says which users are on this node.
        var isOfUsers: Bool {
            switch payload {
            case .content(.changes), .content(.users): true
            default: false
            }
        }

        var batch: OutgoingBatch? { if case .batch(let batch) = payload { batch } else { nil } }
        var byteCount: Int { batch?.publications.count ?? 64 }
    }

    private static let retryPause: TimeAmount = .milliseconds(100)

    /// The partition of a token.
    static func partition(of token: UInt64) -> Int { Int(token >> 48) }

    private unowned let partition: LogPartition
    private var waiting = CircularBuffer<Item>()
    private var failed: [Item] = []
    /// What was handed over and not answered, by its token.
    private var sent: [UInt64: Item] = [:]
    /// What was handed over and not read, by its serial number.
    private var unread: [UInt64: Item] = [:]
    /// The number of records of users that were not read: later ones wait, so that none is taken behind one that follows it.
    private var unreadUsersCount = 0
    /// The batches that are not answered.
    private var batches: [UInt64: Item] = [:]
    /// Also the token of an item; the high bits are the partition.
    private var lastOrder: UInt64
    private var lastSerial: UInt64 = 0
    /// What is appended once more as soon as the broker has said that it has it.
    private var skipped: Set<UInt64> = []
    private var window = SendWindow()
    private var isPaused = false
    private var deadlines: DeadlineSweep!
    private var whenEmpty: (() -> Void)?
    /// The reason that the broker gave for the last failure.
    private var problem: String?

    init(_ partition: LogPartition) {
        self.partition = partition
        lastOrder = UInt64(clamping: partition.number) << 48
        deadlines = DeadlineSweep(partition.core.loop) { [weak self] in self?.refuseOverdue(at: $0) ?? .max }
    }

    /// The number of records that wait or are not answered.
    var count: Int { waiting.count + failed.count + sent.count }

    /// Whether all records of users have been read.
    var hasReadUsers: Bool { unreadUsersCount == 0 }

    func append(_ payload: Payload) {
        lastOrder += 1
        let item = Item(payload, lastOrder)
        waiting.append(item)
        if item.isOfUsers { unreadUsersCount += 1 }
        guard let batch = item.batch else { return }
        batches[item.order] = item
        partition.core.statistics.queuedBatches += 1
        partition.core.statistics.queuedBytes += batch.publications.count
        deadlines.note(batch.deadline)
    }

    /// Hands over what there is room for.
    func pump() {
        guard partition.takesRecords, !isPaused else { return }
        if !failed.isEmpty {
            waiting = CircularBuffer(failed.sorted { $0.order < $1.order } + waiting)
            failed = []
        }
        while let item = waiting.first {
            guard !item.isAnswered else {
                waiting.removeFirst()
                continue
            }
            guard window.hasRoom(for: item.byteCount), hand(over: item) else { return }
            waiting.removeFirst()
        }
    }

    /// Hands over an item; false if there is no room for it at present.
    private func hand(over item: Item) -> Bool {
        // It failed and was forgotten, so that it waits twice.
        guard sent[item.order] == nil else { return true }
        // Those of a node are read in order, so one below the last that was read has not been taken.
        if item.serial <= partition.lastOwnSerial {
            unread[item.serial] = nil
            lastSerial = max(lastSerial, partition.lastOwnSerial) + 1
            item.serial = lastSerial
            item.mayBeThere = false
        } else {
            partition.core.statistics.repeated += 1
        }
        guard partition.append(item.payload, serial: item.serial, token: item.order) else { return false }
        item.isWithBroker = true
        item.writtenAt = NIODeadline.now().uptimeNanoseconds
        sent[item.order] = item
        unread[item.serial] = item
        window.add(item.byteCount)
        return true
    }

    /// Notes that the broker has a record.
    func appended(_ token: UInt64) {
        guard let item = sent.removeValue(forKey: token) else { return }
        window.remove(item.byteCount)
        problem = nil
        if skipped.remove(token) != nil, !item.isAnswered { failed.append(item) }
        checkEmpty()
    }

    /// Notes that the broker does not have a record, or may not have it.
    func failed(_ token: UInt64, _ reason: String, isUncertain: Bool, isFinal: Bool, isTooLarge: Bool) {
        guard let item = sent.removeValue(forKey: token) else { return }
        window.remove(item.byteCount)
        skipped.remove(token)
        problem = reason
        if isUncertain { item.mayBeThere = true }
        item.isWithBroker = item.mayBeThere
        if !item.mayBeThere {
            unread[item.serial] = nil
            item.serial = 0
        }
        if isFinal {
            if item.batch == nil { end(item) } else { refuse(item, isFinal: isTooLarge) }
            return checkEmpty()
        }
        guard !item.isAnswered else { return checkEmpty() }
        failed.append(item)
        guard !isPaused else { return }
        isPaused = true
        partition.core.loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
            self?.isPaused = false
            self?.pump()
        }
    }

    /// Notes that a record of this node was read; a batch with its place in the channel.
    func read(_ serial: UInt64, _ position: MessagePosition?) {
        guard let item = unread.removeValue(forKey: serial), !item.isAnswered else { return }
        guard let batch = item.batch, let position else {
            if item.batch == nil { end(item) }
            return
        }
        partition.core.statistics.accepted += 1
        partition.core.statistics.publishedBytes += UInt64(batch.publications.count)
        partition.core.statistics.roundTrips.record(
            nanoseconds: NIODeadline.now().uptimeNanoseconds &- item.writtenAt)
        finish(item, .accepted(channel: batch.channel, number: batch.number, position))
    }

    private func end(_ item: Item) {
        guard !item.isAnswered else { return }
        item.isAnswered = true
        if item.isOfUsers { unreadUsersCount = max(0, unreadUsersCount - 1) }
    }

    /// Notes that records of users may be gone before they were read.
    func forgetUsers() { unreadUsersCount = 0 }

    /// Notes that a record was read behind later ones, and so by nobody taken: it is appended once more, with another
    /// number.
    func wasSkipped(_ serial: UInt64) {
        guard let item = unread.removeValue(forKey: serial), !item.isAnswered else { return }
        item.serial = 0
        if sent[item.order] == nil { failed.append(item) } else { skipped.insert(item.order) }
        partition.core.pumpSoon()
    }

    /// Notes that nothing of what was appended comes back: the log is another one.
    func forgetRead() {
        for item in unread.values where sent[item.order] == nil && !item.isAnswered {
            item.serial = 0
            failed.append(item)
        }
        unread = [:]
        for item in sent.values { unread[item.serial] = item }
    }

    /// Takes back what was handed to a connection that is there no more.
    func takeBack() {
        for item in sent.values {
            item.mayBeThere = true
            if !item.isAnswered { failed.append(item) }
        }
        sent = [:]
        skipped = []
        window = SendWindow()
    }

    /// Calls `body` as soon as everything is answered.
    func whenEmpty(_ body: @escaping () -> Void) {
        whenEmpty = body
        checkEmpty()
    }

    func refuseAll() {
        for item in batches.values.sorted(by: { $0.order < $1.order }) { refuse(item) }
    }

    /// - Parameter isFinal: whether the broker would not take it at another time either.
    private func refuse(_ item: Item, isFinal: Bool = false) {
        guard let batch = item.batch, !item.isAnswered else { return }
        partition.core.statistics.refused += 1
        let reason = problem ?? partition.core.problem ?? "\(partition.core.name) did not answer in time"
        finish(
            item,
            .refused(
                channel: batch.channel, number: batch.number,
                BrokerRefusal(reason: reason, isUncertain: item.isWithBroker, isFinal: isFinal)))
    }

    private func finish(_ item: Item, _ event: BrokerEvent) {
        item.isAnswered = true
        unread[item.serial] = nil
        batches[item.order] = nil
        partition.core.statistics.queuedBatches -= 1
        partition.core.statistics.queuedBytes -= item.batch?.publications.count ?? 0
        partition.core.emit(event)
        checkEmpty()
    }

    private func checkEmpty() {
        guard let body = whenEmpty, batches.isEmpty, sent.isEmpty, failed.isEmpty,
            waiting.allSatisfy(\.isAnswered)
        else { return }
        whenEmpty = nil
        body()
    }

    private func refuseOverdue(at now: UInt64) -> UInt64 {
        var next = UInt64.max
        var overdue: [Item] = []
        for item in batches.values {
            guard let batch = item.batch else { continue }
            if batch.deadline <= now { overdue.append(item) } else { next = min(next, batch.deadline) }
        }
        for item in overdue.sorted(by: { $0.order < $1.order }) { refuse(item) }
        if !overdue.isEmpty { dropAnswered() }
        return next
    }

    /// Lets go of what waits and is answered, as `pump` does only while the broker can be used.
    private func dropAnswered() {
        waiting.removeAll(where: \.isAnswered)
        failed.removeAll(where: \.isAnswered)
        checkEmpty()
    }
}
