import Base
import Broker
import Channels
import Settings
import WebSocket

/// What the home of a channel keeps while a broker shares the channel between nodes: the publications of this node until
/// they come back in the channel's order, and the requests that wait for the channel's state.
///
/// The phases of the subscription:
///
///     idle ── subscribe ──▶ subscribing ── adopt ──▶ live ── reload ──▶ subscribing
///
/// Publications are handed to the broker one batch at a time: while one is unanswered, the next grows. Until the
/// subscribed channel's state has come they wait, so that the members here get each of them. It does no I/O and belongs
/// to one worker's thread.
struct SharedChannel {
    enum Phase: Equatable { case idle, subscribing, live }

    /// A request that waits until the channel is live.
    enum Waiting {
        case join(JoinRequest, Encoding)
        case question(Question)
        case inspect(ChannelInspection)

        /// Whether it is a join from a position that the channel has not reached here: the client comes from a node that
        /// was ahead.
        func isAhead(of position: MessagePosition) -> Bool {
            guard case .join(let request, _) = self, let since = request.since else { return false }
            return since.epoch == position.epoch && since.seq > position.seq
        }

        /// Whether it is a client's that is let in after a while in any case.
        var isSilent: Bool {
            if case .join(let request, _) = self { request.isSilent } else { false }
        }

        /// Whether it is for messages that the history at hand does not have.
        func lacks(in room: Room) -> Bool {
            switch self {
            case .join(let request, _):
                guard let since = request.since, since.epoch == room.epoch else { return false }
                return !room.history.covers(after: since.seq, newest: room.seq)
            case .question(let question):
                guard case .history(let before, let limit) = question.subject else { return false }
                return room.lacks(before: before, limit: limit)
            case .inspect(let inspection):
                return room.lacks(before: inspection.before, limit: inspection.limit)
            }
        }
    }

    private(set) var phase = Phase.idle
    /// Whether the channel's state has come once, so that there may be members who have got messages.
    private(set) var hasBeenLive = false
    private(set) var batches: [Batch] = []
    /// The requests that wait, each with the time since which it does, in nanoseconds of the monotonic clock.
    private(set) var waiting: [(request: Waiting, since: UInt64)] = []
    /// Whether the worker has dropped messages of the history that the broker may still have.
    var isShed = false
    /// Whether deliveries are missing until the channel's state comes.
    private(set) var isInterrupted = false
    /// Whether the channel is in the worker's list of channels with something for the broker.
    var isMarked = false
    /// The users that have come or gone since the broker was last told.
    private(set) var presenceChanges: [PresenceChange] = []

    /// The size in bytes from which a batch takes no further publications.
    static let batchByteCount = 256 * 1024

    /// Whether the members are those of an earlier process, who have got messages, and nothing has come since.
    private var isRestored = false

    init() {}

    /// The channel of members who have got messages in an earlier process.
    init(isRestored: Bool) {
        self.isRestored = isRestored
        hasBeenLive = isRestored
    }

    /// Whether publications wait until the channel's state comes.
    var holdsBack: Bool { phase == .subscribing && (!hasBeenLive || isRestored) }

    /// Whether the broker's deliveries come, also while the state is asked for again.
    var isDelivered: Bool { phase != .idle && hasBeenLive && !isInterrupted && !isRestored }

    /// Whether nothing is on its way and nobody waits.
    var isIdle: Bool { batches.isEmpty && waiting.isEmpty && presenceChanges.isEmpty }

    /// Begins to subscribe. False if that has begun before.
    mutating func subscribe() -> Bool {
        guard phase == .idle else { return false }
        phase = .subscribing
        return true
    }

    /// Begins to ask for the state of a channel again.
    mutating func reload() {
        assert(phase != .idle)
        phase = .subscribing
        isShed = false
    }

    /// Begins to ask for the state of a channel of which deliveries are missing.
    mutating func interrupt() {
        isInterrupted = true
        reload()
    }

    /// Notes that the channel's state has come, and returns the requests that waited for it.
    mutating func adopt() -> [Waiting] {
        phase = .live
        hasBeenLive = true
        isInterrupted = false
        isRestored = false
        defer { waiting = [] }
        return waiting.map(\.request)
    }

    mutating func wait(_ request: Waiting, at nanoseconds: UInt64) { waiting.append((request, nanoseconds)) }

    /// Takes the requests that have waited since a time or longer.
    mutating func takeWaiting(since time: UInt64) -> [Waiting] {
        let due = waiting.prefix { $0.since <= time }
        guard !due.isEmpty else { return [] }
        waiting.removeFirst(due.count)
        return due.map(\.request)
    }

    /// Takes the silent clients that have waited since a time or longer.
    mutating func takeSilent(since time: UInt64) -> [Waiting] {
        let due = waiting.filter { $0.request.isSilent && $0.since <= time }
        if !due.isEmpty { waiting.removeAll { $0.request.isSilent && $0.since <= time } }
        return due.map(\.request)
    }

    /// Takes the requests that no longer wait for a live channel to reach a position.
    mutating func takeWaiting(at position: MessagePosition) -> [Waiting] {
        guard phase == .live, !waiting.isEmpty else { return [] }
        defer { waiting.removeAll { !$0.request.isAhead(of: position) } }
        return waiting.map(\.request).filter { !$0.isAhead(of: position) }
    }

    mutating func note(_ change: PresenceChange) { presenceChanges.append(change) }

    mutating func takePresenceChanges() -> [PresenceChange] {
        defer { presenceChanges = [] }
        return presenceChanges
    }

    // MARK: Publications

    /// Adds a publication to the batch that is not sent yet. Returns the size by which the queue has grown.
    mutating func append(
        _ publication: Publication, as kind: CarriedPublication.Kind, receipt: Receipt?, at now: Int64,
        _ nanoseconds: UInt64
    ) -> Int {
        let last = batches.count - 1
        if last < 0 || batches[last].state != .waiting || batches[last].byteCount >= Self.batchByteCount {
            batches.append(Batch(begunAt: nanoseconds))
        }
        let index = batches.count - 1
        let before = batches[index].byteCount
        batches[index].writer.append(
            CarriedPublication(kind, time: now, user: publication.from, payload: publication.data))
        batches[index].ids.append(contentsOf: publication.id)
        if let receipt { batches[index].receipts.append((batches[index].entries.count, receipt)) }
        batches[index].entries.append(
            Batch.Entry(
                sender: publication.sender, senderProtocol: publication.senderProtocol,
                time: now, idCount: UInt32(clamping: publication.id.count), isNumbered: kind.isNumbered))
        return batches[index].byteCount - before
    }

    /// Takes the next batch to send: nil while one is unanswered or the channel's state has not come.
    mutating func send(_ channel: String, number: UInt64, history: HistoryLimits?, within time: UInt64)
        -> OutgoingBatch?
    {
        guard !holdsBack, !batches.contains(where: { $0.state == .sent }),
            let index = batches.firstIndex(where: { $0.state == .waiting })
        else { return nil }
        batches[index].state = .sent
        batches[index].number = number
        batches[index].comesBack = hasBeenLive
        return OutgoingBatch(
            channel: channel, number: number, numberedCount: batches[index].writer.numberedCount,
            publications: batches[index].writer.bytes, history: history, deadline: batches[index].begunAt &+ time)
    }

    /// The batch with a number, to be acknowledged: nil if it has been.
    mutating func acknowledge(number: UInt64, at position: MessagePosition) -> Batch? {
        guard let index = index(of: number), !batches[index].isAcknowledged else { return nil }
        batches[index].isAcknowledged = true
        // No publication has a number below 1, whatever the broker says.
        let least = UInt64(clamping: batches[index].writer.numberedCount)
        batches[index].position = MessagePosition(epoch: position.epoch, seq: max(position.seq, least))
        defer { batches[index].acknowledgementFences = [] }
        return batches[index]
    }

    /// Notes that the broker has taken a batch, whose requests have been acknowledged. Returns its size before and since,
    /// in bytes, and the batch if nothing more comes of it; nil if that is known.
    mutating func accept(number: UInt64) -> (before: Int, since: Int, last: Batch?)? {
        guard let index = index(of: number), batches[index].state == .sent else { return nil }
        let before = batches[index].byteCount
        batches[index].state = .accepted
        batches[index].shrink()
        return (before, batches[index].byteCount, batches[index].comesBack ? nil : remove(at: index))
    }

    /// Removes a batch that has come back or was refused.
    mutating func remove(number: UInt64) -> Batch? { index(of: number).map { remove(at: $0) } }

    /// Removes the batches that were taken before one that has come back, and will not come back: they come in order.
    mutating func removeAccepted(before number: UInt64) -> [Batch] {
        removeAll { $0.state == .accepted && $0.number < number }
    }

    /// Removes a batch with numbers that was taken and will not come back.
    mutating func removeAccepted(number: UInt64) -> Batch? {
        guard let index = index(of: number), batches[index].state == .accepted, batches[index].writer.numberedCount > 0
        else { return nil }
        return remove(at: index)
    }

    /// Removes the batches that were taken and will not come back, because the broker has gone on to a position without
    /// delivering them.
    mutating func removeAccepted(until position: MessagePosition) -> [Batch] {
        removeAll { batch in
            guard batch.state == .accepted else { return false }
            guard let place = batch.position, place.epoch == position.epoch else { return true }
            return place.seq <= position.seq
        }
    }

    /// Removes all batches.
    mutating func removeAllBatches() -> [Batch] { removeAll { _ in true } }

    /// Removes the batches that were begun before a time and can't be sent, and those that have been sent long ago.
    /// Batches behind an unanswered one stay: requests are answered in order.
    mutating func removeOverdue(waitingSince: UInt64, sentSince: UInt64) -> [Batch] {
        let late = removeAll { $0.state != .waiting && $0.begunAt <= sentSince }
        guard holdsBack, !batches.contains(where: { $0.state == .sent }) else { return late }
        return late + removeAll { $0.state == .waiting && $0.begunAt <= waitingSince }
    }

    /// The time at which something will have waited too long, in nanoseconds of the monotonic clock; nil if nothing
    /// waits.
    ///
    /// - Parameters:
    ///   - time: how long requests and batches wait to be sent.
    ///   - silentTime: how long silent clients wait.
    ///   - sentTime: how long a batch takes at most, from its beginning, until nothing more comes of it.
    func deadline(waiting time: UInt64, silent silentTime: UInt64, sent sentTime: UInt64) -> UInt64? {
        let request = waiting.lazy.map { $0.since &+ ($0.request.isSilent ? silentTime : time) }.min()
        let batch = batches.lazy.map { $0.begunAt &+ ($0.state == .waiting ? time : sentTime) }.min()
        return [request, batch].compactMap(\.self).min()
    }

    private mutating func removeAll(where isMeant: (Batch) -> Bool) -> [Batch] {
        guard batches.contains(where: isMeant) else { return [] }
        var (removed, kept): ([Batch], [Batch]) = ([], [])
        for var batch in batches {
            guard isMeant(batch) else {
                kept.append(batch)
                continue
            }
            if let last = kept.indices.last {
                kept[last].fences += batch.fences
                batch.fences = []
            }
            removed.append(batch)
        }
        batches = kept
        return removed
    }

    /// Removes a batch. The connections that wait for it and those before it go on to wait for the latter.
    private mutating func remove(at index: Int) -> Batch {
        var batch = batches.remove(at: index)
        guard index > 0 else { return batch }
        batches[index - 1].fences += batch.fences
        batch.fences = []
        return batch
    }

    /// Asks for notice when everything published so far has been acknowledged. False if it has been.
    mutating func fenceAcknowledgements(_ connection: ConnectionReference) -> Bool {
        guard let last = batches.lastIndex(where: { !$0.isAcknowledged }) else { return false }
        batches[last].acknowledgementFences.append(connection)
        return true
    }

    /// Asks for notice when everything published so far has come back. False if it has.
    mutating func fence(_ connection: ConnectionReference) -> Bool {
        guard !batches.isEmpty else { return false }
        batches[batches.count - 1].fences.append(connection)
        return true
    }

    /// Keeps a question until what has been acknowledged has come back. False if it has.
    mutating func keep(_ question: Question) -> Bool {
        guard let last = batches.lastIndex(where: \.isAcknowledged) else { return false }
        batches[last].questions.append(question)
        return true
    }

    private func index(of number: UInt64) -> Int? {
        batches.firstIndex { $0.state != .waiting && $0.number == number }
    }
}
