import CLinux
import Glibc
import Rooms
import WebSocket

/// One thread of the data plane: an epoll instance and the connections and channels that belong to it alone.
///
/// A turn of its loop: wait, read what has come (`+Receive`), take letters (`+Letters`), look at deadlines (`+Sweep`),
/// hand what was published to the subscribers (`+Channels`), and send, once per connection (`+Send`). Nothing in it
/// blocks, locks or logs. `@unchecked Sendable` because it is handed to its thread once and touched nowhere else.
final class Worker: @unchecked Sendable {
    let index: Int
    let context: WorkerContext
    /// What holds now; changed between turns only.
    var configuration: EngineConfiguration
    /// What is to hold after this turn, and who waits for it.
    var nextConfigurations: [(EngineConfiguration, Gather<Void>)] = []
    let handle: WorkerHandle
    let epoll: Int32

    var slab: Slab
    var channels: ChannelTable
    var userAgents = UserAgents()
    var turn = Turn()
    /// This turn's answers to single connections.
    var direct: SegmentBuilder
    /// Channels in which something was published that has not been handed over.
    var published: ContiguousArray<UInt32> = []
    /// Clients that are let in once something elsewhere is known; by slot.
    var pendingOpens: [Int: PendingOpen] = [:]
    /// The JSON text that is being written.
    var text = MessageText()
    /// The name of the connection that is heard, as JSON.
    var nameText = MessageText()
    /// Answers to connections of other workers, by worker.
    let answers: [Answers]
    var hasAnswers = false
    /// Rooms with a history, those that have been quiet longest in front, with the time of the message that put them there.
    var historyQueue: [(index: UInt32, epoch: String, time: Int64)] = []
    var historyQueueNext = 0
    /// The next channel to be looked at, while `expireRooms` goes over all of them.
    var expiryPosition: UInt32?
    /// When something in a room is due, in milliseconds since 1970.
    var roomsDueAt: Int64?
    /// When it is handed over, where it waits for more; nanoseconds of the worker's clock.
    var flushAt: UInt64?
    var flushDelay: UInt64
    /// When it is looked at whether memory can be given back; nil where nothing has happened that would make it worth it.
    var trimAt: UInt64?
    /// The bytes that had come and gone at the last such look.
    var trafficSeen: UInt64 = 0
    /// What a connection's last close frame will say, where it isn't an answer to the peer's; by slot, until it is sent.
    var fencedReasons: [Int: String] = [:]
    var statistics = Statistics()
    /// Connections that the turn sent to.
    private var flushedCount = 0
    /// When the messages came that the turn sent on; nanoseconds of the monotonic clock.
    var sentOn: ContiguousArray<UInt64> = []
    /// How the last connections ended.
    var endings: Endings
    /// Open WebSockets by the endpoint's place in the configuration.
    var connectionsByEndpoint: [Int: Int] = [:]

    /// Where every read lands.
    var buffer: UnsafeMutableRawBufferPointer
    /// The reader of every connection that is between messages.
    var idleInput: UnsafeMutablePointer<PartialInput>
    /// What the turn has done so far, in bytes: what it read, after inflating, what it answered, and what else took as long.
    var work = 0
    /// Connections that go on with input they hold, by their tags.
    var runnable: ContiguousArray<UInt64> = []
    /// Connections that are closed at the turn's end, by their tags.
    var endingSoon: [(tag: UInt64, cause: CloseCause, code: CloseCode, reason: String)] = []
    /// Letters for the channels whose home is here, with the bytes that they count for, and the next to be acted on.
    var homeward: ContiguousArray<(letter: Letter, byteCount: Int)> = []
    var homewardNext = 0
    /// Connections that wait until a mailbox has room, by their tags.
    var congested: ContiguousArray<UInt64> = []
    /// Connections that wait until less is held for clients, likewise.
    var starved: ContiguousArray<UInt64> = []
    /// How full the account of bytes was when the turn began.
    var pressure = MemoryAccount.Pressure.none
    /// Since when connections wait for memory, or those that held most were closed; nanoseconds of the worker's clock.
    var starvedSince: UInt64?
    /// Other workers whose mailbox was full when this one last looked, a bit each.
    var fullMailboxes: UInt64 = 0
    /// Questions that another worker is answering, by slot.
    var openQuestions: [Int: OpenQuestion] = [:]
    /// Homes of channels that are to say when they have answered a connection's requests.
    var pendingFences: [(home: Int, connection: ConnectionID)] = []
    var inflater = Inflater()
    var deflater: Deflater

    /// The turn's time, in ticks and in nanoseconds.
    var now: UInt32 = 1
    var nanoseconds: UInt64
    private let epoch: UInt64
    /// The earliest deadline, in ticks.
    var nextDeadline = Slab.never

    /// How a fan-out is sent; nil where the kernel has no io_uring for us. Made by the worker's thread, which alone may use it.
    var ring: SendRing?

    var listeners: [ListeningSocket] = []
    /// Held so that a connection can still be accepted, and refused, when descriptors run out.
    var reserveDescriptor: Int32 = -1
    /// When accepting is tried again after it failed; nil while it works.
    var acceptsAgainAt: UInt64?
    var drain: Drain?
    private var isStopped = false

    /// The clock of deadlines: 50 ms a tick, 6.8 years in 32 bits.
    static let tickNanoseconds: UInt64 = 50_000_000
    private static let eventCount = 512
    /// A turn takes nothing more in after this much work, so that what was read is sent before more is taken in, and a
    /// connection nothing more after its share: no pipeline keeps the others waiting.
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
        // Beyond the open WebSockets there is room for those in their handshake and those being refused.
        slab = Slab(capacity: configuration.capacity + max(1_024, configuration.capacity / 16))
        channels = ChannelTable(
            worker: index, workerCount: configuration.workerCount, rules: configuration.channelRules,
            generation: configuration.generation, account: context.account)
        direct = SegmentBuilder(context.account.frames)
        answers = (0..<configuration.workerCount).map { _ in Answers(context.account.frames) }
        buffer = .allocate(byteCount: Worker.bufferByteCount(configuration), alignment: 64)
        idleInput = .allocate(capacity: 1)
        idleInput.initialize(to: PartialInput())
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
        idleInput.deinitialize(count: 1)
        idleInput.deallocate()
        if reserveDescriptor >= 0 { Glibc.close(reserveDescriptor) }
        Glibc.close(epoll)
    }

    /// The id of a connection of this worker.
    func id(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> ConnectionID {
        ConnectionID(worker: UInt16(index), slot: UInt32(slot), generation: record.pointee.generation)
    }

    func watch(_ descriptor: Int32, tag: UInt64) {
        let result = clinux_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue, tag)
        precondition(result == 0, "epoll_ctl: \(String(cString: strerror(errno)))")
    }

    /// Ticks in a duration, rounded up; at least one.
    func ticks(_ duration: Duration) -> UInt32 {
        let nanoseconds = Worker.nanoseconds(duration)
        return UInt32(clamping: max(1, (nanoseconds + Worker.tickNanoseconds - 1) / Worker.tickNanoseconds))
    }

    /// A whole request head and some more have to fit.
    static func bufferByteCount(_ configuration: EngineConfiguration) -> Int {
        max(256 * 1024, configuration.maximumHeaderByteCount * 2)
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds)) / 1_000_000_000
    }

    /// Turns until told to stop.
    func run() {
        let events = UnsafeMutableRawPointer.allocate(
            byteCount: Worker.eventCount * clinux_epoll_event_size(), alignment: 16)
        defer { events.deallocate() }
        if configuration.usesSendRing { ring = SendRing() }
        // Events that a turn had no more room for come first in the next: asked again, the kernel would report the same
        // connections first, and those behind them would never be heard.
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
            // Each part of a turn has a budget of its own, so that none is starved: first who waited and who has much to say,
            // then the others, then the homes of channels.
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
        // What a connection's end published, or a new configuration sent, when the turn had sent its messages already.
        if !published.isEmpty && flushAt == nil || !turn.dirty.isEmpty { return true }
        if hasAnswers || !endingSoon.isEmpty || !runnable.isEmpty || expiryPosition != nil { return true }
        return homewardNext < homeward.count && !isHeldUp
    }

    /// Counts what the turn took and how much it did.
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

    /// How long the loop may sleep: to the next deadline, or for ever.
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
        let slot = Int(tag & 0xFFFF_FFFF)
        guard let record = slab.find(tag: tag) else { return }
        if events & EPOLLOUT.rawValue != 0 {
            sendBacklog(slot, record)
            guard record.pointee.phase != .dead else { return }
        }
        if events & EPOLLIN.rawValue != 0 {
            if record.pointee.flags.contains(.heavy), record.pointee.flags.isDisjoint(with: .waiting) {
                // It takes its turn with others of its kind, behind those that ask for little.
                schedule(slot, record)
            } else {
                receive(slot, record)
            }
        } else if events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
            || events & EPOLLRDHUP.rawValue != 0 && record.pointee.flags.contains(.starved)
        {
            end(slot, record, cause: .reset)
        }
    }

    /// Hands the turn's messages over, sends what every connection has coming, and frees what ended.
    private func endTurn() {
        endThoseDue()
        distributePublished()
        if !direct.isEmpty { turn.setDirect(direct.finish()) }
        var position = 0
        while position < turn.dirty.count {
            // No connection is in one pass twice, so no send of its own can overtake the one that waits in the ring; what a
            // flush adds comes after it.
            let end = turn.dirty.count
            let pass = end - position >= Worker.smallestRingPass ? ring : nil
            while position < end {
                let slot = Int(turn.dirty[position])
                flush(slot, slab[slot], through: pass)
                position += 1
            }
            if let pass { submit(pass) }
        }
        flushedCount = turn.dirty.count
        turn.forgetDirty()
        turn.reset()
        for slot in turn.dead { slab.release(Int(slot)) }
        turn.forgetDead()
        if drain != nil { finishDrainIfDone() }
    }
}
