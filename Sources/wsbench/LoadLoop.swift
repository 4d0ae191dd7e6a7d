import CLinux
import Glibc
import Synchronization
import WebSocket

/// One load thread: its connections, its publishers, and the loop that serves them.
///
/// Everything here belongs to that thread; the conductor reads `ThreadCounters`, and the `result` when the loop has
/// ended. Properties that every delivery uses have no run-time check of exclusive access, which took 4 % of all CPU
/// time.
final class LoadLoop {
    let plan: Plan
    let shared: SharedState
    /// The index of the thread, from 0.
    let index: Int
    let counters: ThreadCounters

    let epoll: CInt
    private let eventBuffer: UnsafeMutableRawPointer
    private static let eventCount: Int32 = 1024

    /// The buffer for recv(2): frames are read in place.
    let receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    let connections: UnsafeMutablePointer<Connection>
    let connectionCount: Int
    @exclusivity(unchecked) var publishers: [Publisher]
    var writer: MessageWriter
    @exclusivity(unchecked) var result: LoadResult
    var inflation: InflatedFronts

    /// CLOCK_MONOTONIC at the start of this turn, or at the last arrival.
    @exclusivity(unchecked) var now = clinux_monotonic_nanoseconds()
    var phase = Phase.opening
    @exclusivity(unchecked) var measureStart = UInt64.max
    @exclusivity(unchecked) var measureEnd = UInt64.max
    private var lastSweep: UInt64 = 0
    private var lastBatchRead: UInt64 = 0

    // Opening.
    var nextUnopened = 0
    var openingStart: UInt64 = 0
    var issuedCount = 0
    var openingCount = 0
    /// Connections of the storm that have ended and have to connect again.
    var redials: [Int] = []
    /// The number of connections that the phase still has to settle.
    var unsettledCount = 0
    /// The last response that opened a connection, and its meaning: the next response is usually the same.
    var knownHead: (target: Int, bytes: [UInt8], response: HandshakeResponse)?

    // Publishing.
    /// The next message of the schedule, of all publishers of all threads.
    var scheduleCursor = 0
    var scheduleStart: UInt64 = 0
    @exclusivity(unchecked) var settled: [Int]
    var liveCount = 0
    var openCount = 0

    init(plan: Plan, shared: SharedState, index: Int) {
        self.plan = plan
        self.shared = shared
        self.index = index
        counters = shared.threads[index]
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "epoll_create1: \(String(cString: strerror(errno)))")
        eventBuffer = .allocate(byteCount: Int(Self.eventCount) * clinux_epoll_event_size(), alignment: 16)
        connectionCount = plan.connectionCount(ofThread: index)
        connections = .allocate(capacity: connectionCount)
        for local in 0..<connectionCount {
            (connections + local).initialize(to: Connection())
            connections[local].isStalled =
                plan.number(of: local, thread: index) >= plan.connectionCount - plan.stalledCount
        }
        let publisherCount = plan.publisherCount(ofThread: index)
        publishers = [Publisher](repeating: Publisher(), count: publisherCount)
        writer = MessageWriter(plan: plan)
        settled = [Int](repeating: 0, count: plan.publisherCount)
        let laneCount = plan.audience == .own ? publisherCount : connectionCount * plan.publisherCount
        result = LoadResult(laneCount: laneCount)
        inflation = InflatedFronts(run: plan.run, limit: plan.messageByteCount + (64 << 10))
        unsettledCount = plan.isStorm ? publisherCount : connectionCount
    }

    deinit {
        for local in 0..<connectionCount where connections[local].descriptor >= 0 {
            close(connections[local].descriptor)
        }
        connections.deinitialize(count: connectionCount)
        connections.deallocate()
        receiveBuffer.deallocate()
        eventBuffer.deallocate()
        close(epoll)
    }

    /// Runs until the conductor sets the phase `stopping`.
    func run() {
        openingStart = now
        while true {
            now = clinux_monotonic_nanoseconds()
            let wanted = shared.phase
            measureStart = shared.measureStart.load(ordering: .relaxed)
            measureEnd = shared.measureEnd.load(ordering: .relaxed)
            if wanted != phase {
                // Messages that became due while this thread was busy are sent late.
                if phase.isPublishing { publishDue() }
                enter(wanted)
            }
            if phase == .stopping { break }
            if phase == .opening || phase == .storming { openMore() }
            if phase.isPublishing { publishDue() }
            if now - lastSweep > 200_000_000 { sweep() }
            publishCounters()
            wait()
        }
        finish()
    }

    /// The number of a connection in the run.
    @inline(__always)
    func number(_ local: Int) -> Int { plan.number(of: local, thread: index) }

    private func enter(_ wanted: Phase) {
        phase = wanted
        switch wanted {
        case .opening, .holding: break
        case .running: beginPublishing()
        case .storming:
            openingStart = now
            issuedCount = 0
            unsettledCount = connectionCount - publishers.count
        case .draining: setReceiveBatch(nil)
        case .readingStalled: readStalled()
        case .closing: closeAll()
        case .stopping: break
        }
    }

    /// Waits for the next event or the next message that is due, and handles it.
    private func wait() {
        var timeout: Int32 = 10
        if phase.isPublishing {
            if plan.rate != nil, !publishers.isEmpty {
                timeout = waitUntilDue()
            } else if plan.threadCount > 1, plan.audience == .everyone, !publishers.isEmpty {
                // Another thread's receiving may open the window, and nothing else would wake this one.
                timeout = 1
            }
        }
        if openingCount > 0 || nextUnopened < connectionCount, plan.connectRate > 0 { timeout = min(timeout, 1) }
        let count = clinux_epoll_wait(epoll, eventBuffer, Self.eventCount, timeout)
        for event in 0..<max(0, count) {
            serve(Int(clinux_epoll_data(eventBuffer, event)), clinux_epoll_events(eventBuffer, event))
        }
    }

    /// The time in milliseconds that epoll may wait; times below two milliseconds are waited for here, to the
    /// microsecond.
    private func waitUntilDue() -> Int32 {
        let due = scheduledTime
        guard due > now else { return 0 }
        let left = due - now
        // pselect(2) accepts no larger descriptor: such a thread spins in the last millisecond.
        guard left < 2_000_000, epoll < FD_SETSIZE else { return Int32(min(max(left / 1_000_000, 1) - 1, 10)) }
        var time = timespec(tv_sec: 0, tv_nsec: Int(left))
        var descriptors = fd_set()
        withUnsafeMutableBytes(of: &descriptors) { $0[Int(epoll) / 8] |= 1 << UInt8(epoll % 8) }
        pselect(epoll + 1, &descriptors, nil, nil, &time, nil)
        return 0
    }

    private func serve(_ local: Int, _ events: UInt32) {
        let connection = connections + local
        if connection.pointee.state == .connecting {
            finishConnecting(local)
            return
        }
        if events & EPOLLOUT.rawValue != 0 { flush(local) }
        if events & ~EPOLLOUT.rawValue != 0, connection.pointee.descriptor >= 0 { receive(local) }
    }

    /// Handles timeouts: handshakes and closes that take too long, publishers whose window never opens.
    private func sweep() {
        lastSweep = now
        sweepTimeouts()
        if phase.isPublishing && plan.rate == nil { reopenStuckWindows() }
        if plan.receiveBatch != nil, phase.isPublishing, now - lastBatchRead > 5_000_000_000 {
            // A ping is too short to wake a connection that waits for more bytes, and has to be answered.
            lastBatchRead = now
            for local in 0..<connectionCount where connections[local].state == .open && !connections[local].isStalled {
                receive(local)
            }
        }
    }

    private func publishCounters() {
        counters.open.store(openCount, ordering: .relaxed)
        counters.delivered.store(result.account.deliveredCount, ordering: .relaxed)
        counters.live.store(liveCount, ordering: .relaxed)
        counters.handshakes.store(result.handshakeCount, ordering: .relaxed)
        counters.failed.store(result.failedCount, ordering: .relaxed)
        counters.sent.store(result.sentCount, ordering: .relaxed)
        counters.settled.store(result.settledCount, ordering: .relaxed)
        if plan.audience == .everyone && plan.threadCount > 1 {
            for publisher in settled.indices { counters.settledOfPublisher[publisher] = settled[publisher] }
        }
        counters.unsettled.store(unsettledCount, ordering: .relaxed)
        counters.phase.store(phase.rawValue, ordering: .releasing)
    }
}
