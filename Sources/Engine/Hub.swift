import CLinux
import Glibc
import Rooms
import Synchronization
package import WebSocket

/// The data plane as the rest of the process sees it: start it, ask it, tell it. Any thread.
package final class Hub: Sendable {
    private let context: WorkerContext
    private let threads: [WorkerThread]
    private let listeners = Mutex<[ListeningSocket]>([])
    /// What the workers go by, or are about to.
    private let current: Mutex<EngineConfiguration>
    private let lastStatistics: Mutex<[Statistics]>
    /// Refusals, closes and trouble, as they happen. Events beyond 4,096 unread ones are dropped: the counters are exact,
    /// the log need not be.
    package let events: AsyncStream<EngineEvent>

    /// Starts the workers. They do nothing until `listen`.
    package init(_ configuration: EngineConfiguration) {
        precondition((1...Hub.maximumWorkerCount).contains(configuration.workerCount))
        let (events, continuation) = AsyncStream.makeStream(
            of: EngineEvent.self, bufferingPolicy: .bufferingNewest(4_096)
        )
        self.events = events
        let context = WorkerContext(configuration: configuration, events: continuation)
        self.context = context
        current = Mutex(configuration)
        lastStatistics = Mutex(Array(repeating: Statistics(), count: configuration.workerCount))
        threads = (0..<configuration.workerCount).map { WorkerThread(Worker(index: $0, context: context)) }
    }

    /// A channel's home keeps one bit for each worker.
    package static let maximumWorkerCount = 64

    /// How many CPUs this process may use (sched_getaffinity(2)): the number of workers that makes sense.
    package static var usableProcessorCount: Int { min(Int(clinux_usable_cpu_count()), maximumWorkerCount) }

    /// Raises the limit of open files as far as it goes and returns it (setrlimit(2)).
    package static func raiseDescriptorLimit() -> Int { Int(clamping: clinux_raise_descriptor_limit()) }

    var mailboxes: [Mailbox] { context.handles.map(\.mailbox) }

    /// Where letters for a channel go: to its home.
    func home(of channel: String) -> Mailbox {
        context.handles[ChannelTable.home(of: channel, workerCount: context.handles.count)].mailbox
    }

    /// Whether unremarkable events (connections opened, closed by their peers) are reported too.
    package var reportsEverything: Bool {
        get { context.reportsEverything.load(ordering: .relaxed) }
        set { context.reportsEverything.store(newValue, ordering: .relaxed) }
    }

    /// The most open WebSockets there may be.
    package var maximumConnections: Int { context.admission.maximum }

    /// Events that were dropped.
    package var lostEvents: UInt64 { context.lostEvents.load(ordering: .relaxed) }

    /// The largest message there may be, in bytes.
    package var maximumMessageByteCount: Int { current.withLock { $0.maximumMessageByteCount } }

    /// What an open connection's record takes, in bytes; what hangs off it comes on top.
    package var connectionByteCount: Int { MemoryLayout<Connection>.stride + MemoryLayout<UInt32>.stride }

    /// The paths of the endpoints by their places, those included that only clients of before are on.
    package var endpointPaths: [String] { current.withLock { $0.endpoints.map(\.path) } }

    /// Open WebSockets now.
    package var connectionCount: Int { context.admission.count }

    /// Begins to accept; returns when every worker does.
    package func listen(_ sockets: [ListeningSocket]) async {
        listeners.withLock { $0 = sockets }
        _ = await ask { .listen(sockets, $0) } as [Void]
    }

    func ask<Answer: Sendable>(_ letter: (Gather<Answer>) -> Letter) async -> [Answer] {
        await Gather.answers(mailboxes.count) { gather in
            for mailbox in mailboxes { mailbox.post(letter(gather)) }
        }
    }

    /// Each worker's figures, by worker. For one that does not turn for a second, those of before.
    package func statistics() async -> [Statistics] {
        let answers = await Gather.answers(mailboxes.count, within: .seconds(1)) { gather in
            for mailbox in mailboxes { mailbox.post(.statistics(gather)) }
        }
        return lastStatistics.withLock { last in
            for worker in last.indices { last[worker].isStale = true }
            for (worker, statistics) in answers { last[worker] = statistics }
            return last
        }
    }

    /// The next connections of a selection.
    ///
    /// - Parameters:
    ///   - cursor: `nil` to begin; what the last call returned to go on.
    ///   - limit: at most this many.
    package func connections(
        _ selection: ConnectionSelection, after cursor: Cursor?, limit: Int
    ) async -> (connections: [ConnectionSnapshot], next: Cursor?) {
        var position = cursor ?? Cursor(worker: 0, slot: 0)
        var found: [ConnectionSnapshot] = []
        while position.worker < mailboxes.count, found.count < limit {
            let room = limit - found.count
            let page = await Gather.answers(1) { gather in
                mailboxes[position.worker].post(.list(selection, from: position.slot, limit: room, gather))
            }[0]
            found += page.connections
            position =
                page.next.map { Cursor(worker: position.worker, slot: $0) }
                ?? Cursor(worker: position.worker + 1, slot: 0)
        }
        return (found, position.worker < mailboxes.count ? position : nil)
    }

    /// A place in the list of all connections.
    package struct Cursor: Sendable {
        package var worker: Int
        package var slot: UInt32

        package init(worker: Int, slot: UInt32) {
            self.worker = worker
            self.slot = slot
        }
    }

    /// Begins to close the selected connections; returns how many.
    package func kick(_ selection: ConnectionSelection, code: CloseCode, reason: String) async -> Int {
        await ask { .kick(selection, code, reason: reason, $0) }.reduce(0, +)
    }

    /// Sends a message to the selected connections, whatever their channels. Returns to how many.
    ///
    /// - Parameter isPlainText: as a message's.
    package func broadcast(
        _ opcode: Opcode, _ payload: [UInt8], isPlainText: Bool = false, to selection: ConnectionSelection
    ) async -> Int {
        let segment = payload.withUnsafeBytes { Segment(opcode, payload: $0, meter: context.account.frames) }
        return await ask { .broadcast(segment, isPlainText: isPlainText, selection, $0) }.reduce(0, +)
    }

    /// Takes the selected clients of the `json` protocol out of a channel; returns how many.
    package func unsubscribe(_ selection: ConnectionSelection, channel: String, reason: String) async -> Int {
        await ask { .unsubscribe(selection, channel: channel, reason: reason, $0) }.reduce(0, +)
    }

    /// A message for a channel.
    package struct Message: Sendable {
        package var channel: String
        package var opcode: Opcode
        package var payload: [UInt8]
        /// Whether clients of the `json` protocol get it as a string even where it looks like another JSON value.
        package var isPlainText: Bool

        package init(channel: String, opcode: Opcode, payload: [UInt8], isPlainText: Bool = false) {
            self.channel = channel
            self.opcode = opcode
            self.payload = payload
            self.isPlainText = isPlainText
        }
    }

    /// Publishes messages, those of a channel in their order. Returns what became of each.
    package func publish(_ messages: [Message]) async -> [Published] {
        var results = Array(repeating: Published(connections: 0), count: messages.count)
        guard !messages.isEmpty else { return results }
        await waitForRoom(messages)
        let now = clinux_monotonic_nanoseconds()
        let answers = await Gather.answers(messages.count) { gather in
            for (index, message) in messages.enumerated() {
                let batch = PublicationBatch(
                    message.isPlainText ? .systemText : .system, message.opcode, message.payload)
                context.account.batches.add(batch.byteCount)
                home(of: message.channel).post(
                    .publish(channel: message.channel, batch, at: now, Receipt(gather: gather, index: index)))
            }
        }
        for answer in answers {
            results[answer.index].connections += answer.connections
            results[answer.index].position = answer.position ?? results[answer.index].position
        }
        return results
    }

    /// Waits until the homes of the messages' channels keep up, for some seconds at most.
    private func waitForRoom(_ messages: [Message]) async {
        var tries = 0
        for message in messages {
            let home = home(of: message.channel)
            while home.forHomes.isFull, tries < 2_500 {
                tries += 1
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
    }

    /// Has other settings hold from now on, for connections and channels that are there, too. What can't change while the
    /// workers run stays as it is: their number and the send ring. Where tokens are asked for from now on, connections without
    /// one are closed. One call at a time.
    package func reconfigure(_ configuration: EngineConfiguration) async {
        let next = current.withLock { running in
            running = configuration.succeeding(running)
            return running
        }
        context.admission.setLimits(
            maximum: next.maximumConnections, maximumPerAddress: next.maximumConnectionsPerAddress,
            exemptsLoopback: next.exemptsLoopback)
        context.account.setLimit(next.memoryByteCount)
        _ = await ask { .reconfigure(next, $0) } as [Void]
        _ = await ask { .recount($0) } as [Void]
    }

    /// Stops accepting, closes every connection with 1001 spread over `period`, and returns when none is left, which is
    /// after `timeout` at the latest. Called again, the newer call's times hold, and both return at the end.
    package func drain(period: Duration, timeout: Duration, reason: String) async {
        await stopListening()
        _ = await ask { .drain(period: period, timeout: timeout, reason: reason, $0) } as [Void]
    }

    /// Stops accepting. A passed listener stays open in systemd, and new clients wait there for the next process; an own
    /// one is closed, so that they learn at once that nobody is here.
    private func stopListening() async {
        _ = await ask { .stopListening($0) } as [Void]
        let closing = listeners.withLock { listeners in
            defer { listeners = [] }
            return listeners
        }
        for listener in closing { listener.close() }
    }

    /// Ends the workers' threads. Connections that are left are cut.
    package func stop() async {
        for mailbox in mailboxes {
            mailbox.post(.abort)
            mailbox.post(.stop)
        }
        for thread in threads { await thread.ended() }
        context.events.finish()
    }

    /// Whether every worker has turned since the last call, and asks again. The first call only asks.
    package func haveAllWorkersTurned() -> Bool {
        var all = true
        for handle in context.handles {
            let asked = handle.asked.load(ordering: .acquiring)
            guard handle.answered.load(ordering: .acquiring) == asked else {
                all = false
                continue
            }
            handle.asked.store(asked + 1, ordering: .releasing)
            handle.mailbox.post(.probe(asked + 1))
        }
        return all
    }
}
