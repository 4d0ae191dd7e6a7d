import Base
import CLinux
import Channels
import Glibc
import Settings
import WebSocket

/// One thread of the data plane: an epoll instance and the connections and channels that belong to it alone.
///
/// A turn of its loop: wait, read input (`+Receive`), take messages (`+Messages`), check deadlines (`+Sweep`), hand
/// published messages to the subscribers (`+Channels`), and send, once per connection (`+Send`). Nothing in it blocks,
/// locks or logs. `@unchecked Sendable` because it is passed to its thread once and touched nowhere else.
final class Worker: @unchecked Sendable {
    let context: WorkerContext
    let handle: WorkerHandle
    let epoll: Int32
    /// The present configuration; changed between turns only.
    var configuration: EngineConfiguration
    /// The configurations to apply after this turn, with the tasks that wait for that.
    var nextConfigurations: [(EngineConfiguration, Replies<Void>)] = []

    var slab: Slab
    var channels: ChannelTable
    var clock = WorkerClock()
    var homes = Homes()
    let ingress: Ingress
    let outbox: Outbox
    let acceptor: Acceptor
    let telemetry: Telemetry
    let secure = SecureWork()
    var drain: Drain?
    /// The progress of handing everything to the next process; nil as long as that has not begun.
    var parking: Parking?
    private var isStopped = false

    private static let eventCount = 512
    /// The work after which a turn reads no more input, so that its output is sent first, and the share of one
    /// connection, so that no pipelining client keeps the others waiting.
    static let workBudget = 4 * 1024 * 1024
    static let connectionShare = 1024 * 1024

    static let mailboxTag: UInt64 = 1 << 63

    init(index: Int, context: WorkerContext, _ configuration: EngineConfiguration) {
        self.context = context
        self.configuration = configuration
        handle = context.handles[index]
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "epoll_create1: \(String(cString: strerror(errno)))")
        // Besides the open WebSockets, there is room for connections in their handshake and those being refused.
        slab = Slab(worker: index, capacity: configuration.capacity + max(1_024, configuration.capacity / 16))
        channels = ChannelTable(
            worker: index, workerCount: configuration.workerCount, rules: configuration.channelRules,
            generation: configuration.generation, isShared: context.broker != nil, account: context.account)
        ingress = Ingress(bufferByteCount: Worker.bufferByteCount(configuration))
        outbox = Outbox(configuration, frames: context.account.frames)
        acceptor = Acceptor(epoll: epoll)
        telemetry = Telemetry(workerCount: configuration.workerCount)
        watch(handle.mailbox.descriptor, tag: Worker.mailboxTag)
    }

    deinit { Glibc.close(epoll) }

    var index: Int { handle.index }
    /// The turn's time in ticks, and in nanoseconds of the monotonic clock.
    var now: UInt32 { clock.now }
    var nanoseconds: UInt64 { clock.nanoseconds }

    /// The reference by which other workers and tasks name a connection of this worker.
    func reference(to connection: Connection) -> ConnectionReference {
        ConnectionReference(worker: UInt16(index), slot: UInt32(connection.slot), generation: connection.id.generation)
    }

    func watch(_ descriptor: Int32, tag: UInt64) {
        let result = clinux_epoll_control(epoll, EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue, tag)
        precondition(result == 0, "epoll_ctl: \(String(cString: strerror(errno)))")
    }

    /// The size of the read buffer, which must hold a whole request head and some more.
    static func bufferByteCount(_ configuration: EngineConfiguration) -> Int {
        max(256 * 1024, configuration.server.maxHeaderByteCount * 2)
    }

    /// Runs the loop until `stop`.
    func run() {
        let events = UnsafeMutableRawPointer.allocate(
            byteCount: Worker.eventCount * clinux_epoll_event_size(), alignment: 16)
        defer { events.deallocate() }
        if configuration.server.ioUring == .auto { outbox.ring = SendRing() }
        // Events that a turn had no budget for come first in the next one: the kernel would report the same connections
        // first again, and those after them would never be read.
        var pending = 0..<0
        while !isStopped {
            if pending.isEmpty {
                let wait = hasWork ? 0 : parking == nil ? waitMilliseconds() : Parking.pause
                let count = clinux_epoll_wait(epoll, events, Int32(Worker.eventCount), wait)
                pending = 0..<max(0, Int(count))
            }
            clock.read()
            telemetry.statistics.turns &+= 1
            ingress.work = 0
            secure.handshakesLeft = SecureWork.handshakesPerTurn
            outbox.missedByteCount = 0
            if parking == nil { lookAtPressure() }
            // Each part of a turn has its own budget, so that none is starved: first the connections that waited or
            // cause a lot of work, then the others, then the homes of channels.
            if parking == nil { goOn(budget: Worker.workBudget / 4) }
            let end = ingress.work + Worker.workBudget / 2
            while let index = pending.first, ingress.work < end {
                pending.removeFirst()
                handle(
                    tag: clinux_epoll_data(events, Int32(index)),
                    events: clinux_epoll_events(events, Int32(index))
                )
            }
            takeHomeMessages()
            if parking == nil { meetDeadlines() }
            endTurn()
            recordTurn()
            if parking != nil { answerParking() }
            reconfigure()
            trimWhenQuiet()
        }
    }

    func stop() { isStopped = true }

    private func meetDeadlines() {
        if clock.isDue { sweep() }
        acceptor.resume(at: nanoseconds)
        if homes.roomsDueAt != nil { expireRooms() }
        if drain != nil { continueDrain() }
    }

    /// Whether there is something to do without waiting for an event.
    var hasWork: Bool {
        // A connection's end may have published messages, or a new configuration may have sent some, after the turn's
        // flush.
        if !outbox.published.isEmpty && outbox.flushAt == nil || !outbox.turn.dirty.isEmpty { return true }
        if !outbox.shared.isEmpty || !outbox.subscriptions.isEmpty || !channels.abandoned.isEmpty { return true }
        if outbox.hasAnswers || !ingress.endingSoon.isEmpty { return true }
        if parking == nil, !ingress.runnable.isEmpty || homes.expiryPosition != nil { return true }
        return !homes.messages.isEmpty && !isHeldUp
    }

    /// Records the duration of the turn and its amount of work.
    private func recordTurn() {
        let end = clinux_monotonic_nanoseconds()
        telemetry.statistics.turnTimes.record(nanoseconds: end &- nanoseconds)
        if outbox.flushedCount > 0 { telemetry.statistics.batches.record(count: outbox.flushedCount) }
        guard !outbox.sentOn.isEmpty else { return }
        for time in outbox.sentOn { telemetry.statistics.latencies.record(nanoseconds: end > time ? end - time : 0) }
        outbox.sentOn.removeAll(keepingCapacity: true)
    }

    /// The time that the loop may sleep: until the next deadline, or -1 for ever.
    private func waitMilliseconds() -> Int32 {
        var wake = UInt64.max
        if let deadline = clock.nextWake { wake = deadline }
        if let time = acceptor.acceptsAgainAt { wake = min(wake, time) }
        if let drain { wake = min(wake, drain.nextStep) }
        if let time = outbox.flushAt { wake = min(wake, time) }
        if let due = homes.roomsDueAt, due != .max {
            // A message may be kept for thousands of years.
            let wait = UInt64(min(max(0, due - clinux_realtime_milliseconds()), 1 << 40)) * 1_000_000
            wake = min(wake, clinux_monotonic_nanoseconds() + wait)
        }
        if let time = telemetry.trimAt { wake = min(wake, time) }
        if let time = ingress.starvedSince { wake = min(wake, time + starvedPause) }
        guard wake != .max else { return -1 }
        let current = clinux_monotonic_nanoseconds()
        return wake <= current ? 0 : Int32(clamping: (wake - current + 999_999) / 1_000_000)
    }

    private func handle(tag: UInt64, events: UInt32) {
        if tag & Worker.mailboxTag != 0 {
            if tag == Worker.mailboxTag { takeMessages() } else { accept(from: Int(tag & 0xFFFF_FFFF)) }
            return
        }
        guard let connection = slab.find(tag: tag) else { return }
        guard parking == nil else { return stopReading(connection, events) }
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
        handToBroker()
        distributePublished()
        if !outbox.direct.isEmpty { outbox.turn.setDirect(outbox.direct.finish()) }
        var position = 0
        while position < outbox.turn.dirty.count {
            // No connection is in a pass twice, so none of its sends can overtake the one that waits in the ring;
            // output that a flush adds comes after it.
            let end = outbox.turn.dirty.count
            let pass = end - position >= Worker.smallestRingPass ? outbox.ring : nil
            while position < end {
                let slot = Int(outbox.turn.dirty[position])
                flush(slab[slot], through: pass)
                position += 1
            }
            if let pass { submit(pass) }
        }
        outbox.flushedCount = outbox.turn.dirty.count
        outbox.turn.forgetDirty()
        outbox.turn.reset()
        for slot in outbox.turn.dead { slab.release(slab[Int(slot)]) }
        outbox.turn.forgetDead()
        if drain != nil { finishDrainIfDone() }
    }
}
