import CLinux
import Glibc
import Rooms
import WebSocket

/// One thread of the data plane: an epoll instance and the connections and channels that belong to it alone.
///
/// A turn of its loop: wait, read input (`+Receive`), take letters (`+Letters`), check deadlines (`+Sweep`), hand
/// published messages to the subscribers (`+Channels`), and send, once per connection (`+Send`). Nothing in it blocks,
/// locks or logs. `@unchecked Sendable` because it is passed to its thread once and touched nowhere else.
final class Worker: @unchecked Sendable {
    let index: Int
    let context: WorkerContext
    /// The present configuration; changed between turns only.
    var configuration: EngineConfiguration
    /// The configurations to apply after this turn, with the tasks that wait for that.
    var nextConfigurations: [(EngineConfiguration, Gather<Void>)] = []
    let handle: WorkerHandle
    let epoll: Int32

    var slab: Slab
    var channels: ChannelTable
    var userAgents = UserAgents()
    var turn = Turn()
    /// This turn's answers to single connections.
    var direct: SegmentBuilder
    /// The channels with published messages that have not been handed over.
    var published: ContiguousArray<UInt32> = []
    /// The JSON text that is being written.
    var text = MessageText()
    /// The name of the connection whose request is being processed, as JSON.
    var nameText = MessageText()
    /// The answers to connections of other workers, by worker.
    let answers: [Answers]
    var hasAnswers = false
    /// The rooms with a history, those that have been quiet longest first, with the time of the message that put them
    /// there.
    var historyQueue: [(index: UInt32, epoch: String, time: Int64)] = []
    var historyQueueNext = 0
    /// The next channel to check while `expireRooms` goes through all of them.
    var expiryPosition: UInt32?
    /// The time at which a room is due, in milliseconds since 1970.
    var roomsDueAt: Int64?
    /// The time at which messages that wait for `flush_delay` are handed over, in nanoseconds of the worker's clock.
    var flushAt: UInt64?
    var flushDelay: UInt64
    /// The time of the next check whether memory can be returned to the system; nil until there has been enough
    /// traffic.
    var trimAt: UInt64?
    /// The total traffic in bytes at the last such check.
    var trafficSeen: UInt64 = 0
    var statistics = Statistics()
    /// The number of connections that the turn sent to.
    private var flushedCount = 0
    /// The arrival times of the messages that the turn has sent, in nanoseconds of the monotonic clock.
    var sentOn: ContiguousArray<UInt64> = []
    /// The last endings of connections.
    var endings: Endings
    /// Open WebSockets by the endpoint's index in the configuration.
    var connectionsByEndpoint: [Int: Int] = [:]

    /// The buffer for every read.
    var buffer: UnsafeMutableRawBufferPointer
    /// The shared input state of all connections that are between messages.
    var idleInput: Boxed<PartialInput>
    /// The work that the turn has done so far, in bytes: input, after inflating, answers, and other work of the same
    /// duration.
    var work = 0
    /// The connections that continue with input that they hold, by their tags.
    var runnable: ContiguousArray<UInt64> = []
    /// The connections that are closed at the turn's end, by their tags.
    var endingSoon: [(tag: UInt64, cause: CloseCause, code: CloseCode, reason: String)] = []
    /// The letters for channels whose home is here, with the size that they count for, and the index of the next one.
    var homeward: ContiguousArray<(letter: Letter, byteCount: Int)> = []
    var homewardNext = 0
    /// The connections that wait until a mailbox has room, by their tags.
    var congested: ContiguousArray<UInt64> = []
    /// The connections that wait until less memory is held for clients, by their tags.
    var starved: ContiguousArray<UInt64> = []
    /// The memory pressure at the beginning of the turn.
    var pressure = MemoryAccount.Pressure.none
    /// Since when connections wait for memory, or those that held most were closed; nanoseconds of the worker's clock.
    var starvedSince: UInt64?
    /// Other workers whose mailbox was full when this one last looked, a bit each.
    var fullMailboxes: UInt64 = 0
    /// Homes of channels that are to say when they have answered a connection's requests.
    var pendingFences: [(home: Int, connection: ConnectionReference)] = []
    var inflater = Inflater()
    var deflater: Deflater

    /// The turn's time, in ticks and in nanoseconds.
    var now: UInt32 = 1
    var nanoseconds: UInt64
    private let epoch: UInt64
    /// The earliest deadline, in ticks.
    var nextDeadline = Slab.never

    /// The ring for fan-outs; nil if io_uring can't be used. It is made by the worker's thread, which alone may use it.
    var ring: SendRing?

    var listeners: [ListeningSocket] = []
    /// A reserved descriptor, so that a connection can still be accepted, and refused, when descriptors run out.
    var reserveDescriptor: Int32 = -1
    /// The time at which accepting is tried again after a failure; nil while it works.
    var acceptsAgainAt: UInt64?
    var drain: Drain?
    private var isStopped = false

    /// The clock of deadlines: 50 ms a tick, 6.8 years in 32 bits.
    static let tickNanoseconds: UInt64 = 50_000_000
    private static let eventCount = 512
    /// The work after which a turn reads no more input, so that its output is sent first, and the share of one
    /// connection, so that no pipelining client keeps the others waiting.
    static let workBudget = 4 * 1024 * 1024
    static let connectionShare = 1024 * 1024

    static let mailboxTag: UInt64 = 1 << 63
    static let listenerTag: UInt64 = 1 << 63 | 1 << 62

    init(index: Int, context: WorkerContext) {
        self.index = index
        self.context = context
        configuration = context.configuration
        handle = context.handles[index]
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "epoll_create1: \(String(cString: strerror(errno)))")
        // Besides the open WebSockets, there is room for connections in their handshake and those being refused.
        slab = Slab(worker: index, capacity: configuration.capacity + max(1_024, configuration.capacity / 16))
        channels = ChannelTable(
            worker: index, workerCount: configuration.workerCount, rules: configuration.channelRules,
            generation: configuration.generation, account: context.account)
        direct = SegmentBuilder(context.account.frames)
        answers = (0..<configuration.workerCount).map { _ in Answers(context.account.frames) }
        buffer = .allocate(byteCount: Worker.bufferByteCount(configuration), alignment: 64)
        idleInput = Boxed(PartialInput())
        flushDelay = Worker.nanoseconds(configuration.flushDelay)
        endings = Endings(capacity: max(512, 8_192 / configuration.workerCount))
        deflater = Deflater(level: configuration.compressionLevel)
        epoch = clinux_monotonic_nanoseconds()
        nanoseconds = epoch
        reserveDescriptor = clinux_open_null()
        watch(handle.mailbox.descriptor, tag: Worker.mailboxTag)
    }

    deinit {
        buffer.deallocate()
        idleInput.free()
        if reserveDescriptor >= 0 { Glibc.close(reserveDescriptor) }
        Glibc.close(epoll)
    }

    /// The reference by which other workers and tasks name a connection of this worker.
    func reference(to connection: Connection) -> ConnectionReference {
        ConnectionReference(worker: UInt16(index), slot: UInt32(connection.slot), generation: connection.id.generation)
    }

    func watch(_ descriptor: Int32, tag: UInt64) {
        let result = clinux_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue, tag)
        precondition(result == 0, "epoll_ctl: \(String(cString: strerror(errno)))")
    }

    /// The number of ticks in a duration, rounded up; at least one.
    func ticks(_ duration: Duration) -> UInt32 {
        let nanoseconds = Worker.nanoseconds(duration)
        return UInt32(clamping: max(1, (nanoseconds + Worker.tickNanoseconds - 1) / Worker.tickNanoseconds))
    }

    /// The size of the read buffer, which must hold a whole request head and some more.
    static func bufferByteCount(_ configuration: EngineConfiguration) -> Int {
        max(256 * 1024, configuration.maximumHeaderByteCount * 2)
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds)) / 1_000_000_000
    }

    /// Runs the loop until `stop`.
    func run() {
        let events = UnsafeMutableRawPointer.allocate(
            byteCount: Worker.eventCount * clinux_epoll_event_size(), alignment: 16)
        defer { events.deallocate() }
        if configuration.usesSendRing { ring = SendRing() }
        // Events that a turn had no budget for come first in the next one: the kernel would report the same connections
        // first again, and those after them would never be read.
        var pending = 0..<0
        while !isStopped {
            if pending.isEmpty {
                let wait = hasWork ? 0 : waitMilliseconds()
                let count = clinux_epoll_wait(epoll, events, Int32(Worker.eventCount), wait)
                pending = 0..<max(0, Int(count))
            }
            readClock()
            statistics.turns &+= 1
            work = 0
            lookAtPressure()
            // Each part of a turn has its own budget, so that none is starved: first the connections that waited or
            // cause a lot of work, then the others, then the homes of channels.
            goOn(budget: Worker.workBudget / 4)
            let end = work + Worker.workBudget / 2
            while let index = pending.first, work < end {
                pending.removeFirst()
                handle(
                    tag: clinux_epoll_data(events, Int32(index)),
                    events: clinux_epoll_events(events, Int32(index))
                )
            }
            takeHomeward()
            if now >= nextDeadline { sweep() }
            if let acceptsAgainAt, nanoseconds >= acceptsAgainAt { resumeAccepting() }
            if roomsDueAt != nil { expireRooms() }
            if drain != nil { continueDrain() }
            endTurn()
            recordTurn()
            reconfigure()
            trimWhenQuiet()
        }
    }

    func stop() { isStopped = true }

    /// Whether there is something to do without waiting for an event.
    private var hasWork: Bool {
        // A connection's end may have published messages, or a new configuration may have sent some, after the turn's
        // flush.
        if !published.isEmpty && flushAt == nil || !turn.dirty.isEmpty { return true }
        if hasAnswers || !endingSoon.isEmpty || !runnable.isEmpty || expiryPosition != nil { return true }
        return homewardNext < homeward.count && !isHeldUp
    }

    /// Records the duration of the turn and its amount of work.
    private func recordTurn() {
        let end = clinux_monotonic_nanoseconds()
        statistics.turnTimes.record(nanoseconds: end &- nanoseconds)
        if flushedCount > 0 { statistics.batches.record(count: flushedCount) }
        guard !sentOn.isEmpty else { return }
        for time in sentOn { statistics.latencies.record(nanoseconds: end > time ? end - time : 0) }
        sentOn.removeAll(keepingCapacity: true)
    }

    private func readClock() {
        nanoseconds = clinux_monotonic_nanoseconds()
        now = UInt32(truncatingIfNeeded: (nanoseconds &- epoch) / Worker.tickNanoseconds) &+ 1
    }

    /// The time that the loop may sleep: until the next deadline, or -1 for ever.
    private func waitMilliseconds() -> Int32 {
        var wake = UInt64.max
        if nextDeadline != Slab.never { wake = epoch + UInt64(nextDeadline - 1) * Worker.tickNanoseconds }
        if let acceptsAgainAt { wake = min(wake, acceptsAgainAt) }
        if let drain { wake = min(wake, drain.nextStep) }
        if let flushAt { wake = min(wake, flushAt) }
        if let roomsDueAt, roomsDueAt != .max {
            let wait = UInt64(max(0, roomsDueAt - clinux_realtime_milliseconds())) * 1_000_000
            wake = min(wake, clinux_monotonic_nanoseconds() + wait)
        }
        if let trimAt { wake = min(wake, trimAt) }
        if let starvedSince { wake = min(wake, starvedSince + starvedPause) }
        guard wake != .max else { return -1 }
        let current = clinux_monotonic_nanoseconds()
        return wake <= current ? 0 : Int32(clamping: (wake - current + 999_999) / 1_000_000)
    }

    private func handle(tag: UInt64, events: UInt32) {
        if tag & Worker.mailboxTag != 0 {
            if tag == Worker.mailboxTag { takeLetters() } else { accept(from: Int(tag & 0xFFFF_FFFF)) }
            return
        }
        guard let connection = slab.find(tag: tag) else { return }
        if events & EPOLLOUT.rawValue != 0 {
            sendBacklog(connection)
            guard connection.phase != .dead else { return }
        }
        if events & EPOLLIN.rawValue != 0 {
            if connection.phase.readsFrames, connection.flags.contains(.heavy),
                connection.flags.isDisjoint(with: .waiting)
            {
                // Heavy connections take turns after those with little input.
                schedule(connection)
            } else {
                receive(connection)
            }
        } else if events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
            || events & EPOLLRDHUP.rawValue != 0 && connection.flags.contains(.starved)
        {
            end(connection, cause: .reset)
        }
    }

    /// Hands over the turn's messages, flushes every connection's output, and frees the slots of ended connections.
    private func endTurn() {
        endThoseDue()
        distributePublished()
        if !direct.isEmpty { turn.setDirect(direct.finish()) }
        var position = 0
        while position < turn.dirty.count {
            // No connection is in a pass twice, so none of its sends can overtake the one that waits in the ring;
            // output that a flush adds comes after it.
            let end = turn.dirty.count
            let pass = end - position >= Worker.smallestRingPass ? ring : nil
            while position < end {
                let slot = Int(turn.dirty[position])
                flush(slab[slot], through: pass)
                position += 1
            }
            if let pass { submit(pass) }
        }
        flushedCount = turn.dirty.count
        turn.forgetDirty()
        turn.reset()
        for slot in turn.dead { slab.release(slab[Int(slot)]) }
        turn.forgetDead()
        if drain != nil { finishDrainIfDone() }
    }
}
