import CLinux
import Channels
import Glibc
package import Operations
import Settings
import Synchronization
package import WebSocket

/// The interface of the data plane for the rest of the process: it starts, queries and commands the workers. It may be
/// used from any thread.
package final class Hub: Sendable {
    let context: WorkerContext
    private let threads: [WorkerThread]
    private let listeners = Mutex<[ListeningSocket]>([])
    /// What `publish` and the other commands pass, until the hub is parked.
    let gate = Gate()
    /// The configuration that the workers use, or are about to use.
    private let current: Mutex<EngineConfiguration>
    private let lastStatistics: Mutex<[Statistics]>
    /// Refusals, closes and failures, as they happen. Beyond 4,096 unread events, the oldest are dropped: the counters
    /// are exact, the log need not be.
    package let events: AsyncStream<EngineEvent>

    /// What was taken over from an earlier process; nil if there was nothing.
    package let adopted: Adopted?
    /// What was taken over from the snapshot of a process that was killed; nil if there was none.
    package let recovered: RecoveredHistory?

    /// Starts the workers. They accept nobody until `listen`.
    ///
    /// - Parameter parked: what an earlier process has left. What can't be taken over is closed.
    package init(_ configuration: EngineConfiguration, adopting parked: ParkedState? = nil) {
        precondition((1...Hub.maximumWorkerCount).contains(configuration.workerCount))
        let (events, continuation) = AsyncStream.makeStream(
            of: EngineEvent.self, bufferingPolicy: .bufferingNewest(4_096)
        )
        self.events = events
        let beginning = Hub.begin(configuration, continuation, adopting: parked)
        let workers = beginning.workers
        let context = workers[0].context
        self.context = context
        adopted = beginning.adopted
        recovered = beginning.recovered
        current = Mutex(workers[0].configuration)
        lastStatistics = Mutex(Array(repeating: Statistics(), count: configuration.workerCount))
        threads = workers.map { WorkerThread($0) }
    }

    /// The configuration that the workers use, or are about to use.
    var runningConfiguration: EngineConfiguration { current.withLock { $0 } }

    /// A channel's home keeps one bit for each worker.
    package static let maximumWorkerCount = 64

    /// The number of CPUs that this process may use (sched_getaffinity(2)), which is a sensible number of workers.
    package static var usableProcessorCount: Int { min(Int(clinux_usable_cpu_count()), maximumWorkerCount) }

    /// Raises the limit of open files as far as possible and returns it (setrlimit(2)).
    package static func raiseDescriptorLimit() -> Int { Int(clamping: clinux_raise_descriptor_limit()) }

    var mailboxes: [Mailbox] { context.handles.map(\.mailbox) }

    /// The mailbox of a channel's home.
    func home(of channel: String) -> Mailbox {
        context.handles[ChannelTable.home(of: channel, workerCount: context.handles.count)].mailbox
    }

    /// Whether unremarkable events (connections opened, closed by their peers) are reported too.
    package var reportsEverything: Bool {
        get { context.reportsEverything.load(ordering: .relaxed) }
        set { context.reportsEverything.store(newValue, ordering: .relaxed) }
    }

    /// The maximum number of open WebSockets.
    package var maximumConnections: Int { context.admission.maximum }

    /// The size of the messages that wait until the broker takes them, in bytes.
    package var brokerQueueByteCount: Int { context.account.brokerQueue.byteCount }

    /// The size of what the broker has delivered and the workers have not taken, in bytes, and the number of deliveries that
    /// were dropped because it was too much.
    package var brokerDeliveries: (byteCount: Int, droppedCount: UInt64) {
        (context.account.deliveries.byteCount, context.account.deliveries.droppedCount)
    }

    /// The number of dropped events.
    package var lostEvents: UInt64 { context.lostEvents.load(ordering: .relaxed) }

    /// The maximum size of a message, in bytes.
    package var maximumMessageByteCount: Int { current.withLock { $0.websocket.maxMessageByteCount } }

    /// The size of an open connection's record and deadline, in bytes, without the memory that the record points to.
    package var connectionByteCount: Int { MemoryLayout<ConnectionRecord>.stride + MemoryLayout<UInt32>.stride }

    /// The paths of the endpoints by their index, including retired endpoints, which only earlier clients are on.
    package var endpointPaths: [String] { current.withLock { $0.endpoints.map(\.path) } }

    /// The present number of open WebSockets.
    package var connectionCount: Int { context.admission.count }

    /// Starts accepting connections; returns when every worker accepts.
    package func listen(_ sockets: [ListeningSocket]) async {
        listeners.withLock { $0 = sockets }
        _ = await ask { .control(.listen(sockets, $0)) } as [Void]
    }

    func ask<Answer: Sendable>(_ message: (Replies<Answer>) -> WorkerMessage) async -> [Answer] {
        await Replies.collect(mailboxes.count) { replies in
            for mailbox in mailboxes { mailbox.post(message(replies)) }
        }
    }

    /// The statistics of each worker, by worker. For a worker that does not answer within a second, these are its
    /// previous ones.
    package func statistics() async -> [Statistics] {
        let answers = await Replies.collect(mailboxes.count, within: .seconds(1)) { replies in
            for mailbox in mailboxes { mailbox.post(.operation(.statistics(replies))) }
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
    ///   - cursor: nil to begin; the value that the last call returned to continue.
    ///   - limit: the maximum number of connections.
    package func connections(
        _ selection: ConnectionSelection, after cursor: Cursor?, limit: Int
    ) async -> (connections: [ConnectionRow], next: Cursor?) {
        var position = cursor ?? Cursor(worker: 0, slot: 0)
        var found: [ConnectionRow] = []
        while position.worker < mailboxes.count, found.count < limit {
            let room = limit - found.count
            let page = await Replies.collect(1) { replies in
                mailboxes[position.worker].post(.operation(.list(selection, from: position.slot, limit: room, replies)))
            }[0]
            found += page.found
            position =
                page.next.map { Cursor(worker: position.worker, slot: $0) }
                ?? Cursor(worker: position.worker + 1, slot: 0)
        }
        return (found, position.worker < mailboxes.count ? position : nil)
    }

    /// A position in the list of all connections.
    package struct Cursor: Sendable {
        package var worker: Int
        package var slot: UInt32

        package init(worker: Int, slot: UInt32) {
            self.worker = worker
            self.slot = slot
        }
    }

    /// Begins to close the selected connections and returns their number.
    package func kick(
        _ selection: ConnectionSelection, code: CloseCode, reason: String
    ) async throws(HubParked) -> Int {
        try await command { .operation(.kick(selection, code, reason: reason, $0)) }
    }

    /// Makes every worker do something to its connections, and returns the number of those that it was done to.
    private func command(_ message: (Replies<Int>) -> WorkerMessage) async throws(HubParked) -> Int {
        guard gate.enter() else { throw HubParked() }
        let counts = await Replies.collect(mailboxes.count) { replies in
            defer { gate.leave() }
            for mailbox in mailboxes { mailbox.post(message(replies)) }
        }
        return counts.reduce(0, +)
    }

    /// Sends a message to the selected connections, whatever their channels, and returns the number of recipients.
    ///
    /// - Parameter isPlainText: as `Message.isPlainText`.
    package func broadcast(
        _ opcode: Opcode, _ payload: [UInt8], isPlainText: Bool = false, to selection: ConnectionSelection
    ) async throws(HubParked) -> Int {
        let segment = payload.withUnsafeBytes { Segment(opcode, payload: $0, meter: context.account.frames) }
        return try await command { .operation(.broadcast(segment, isPlainText: isPlainText, selection, $0)) }
    }

    /// Removes the selected clients of the `json` protocol from a channel and returns their number.
    package func unsubscribe(
        _ selection: ConnectionSelection, channel: String, reason: String
    ) async throws(HubParked) -> Int {
        try await command { .operation(.unsubscribe(selection, channel: channel, reason: reason, $0)) }
    }

    /// A message for a channel.
    package struct Message: Sendable {
        package var channel: String
        package var opcode: Opcode
        package var payload: [UInt8]
        /// Whether clients of the `json` protocol get it as a string even if it looks like another JSON value.
        package var isPlainText: Bool

        package init(channel: String, opcode: Opcode, payload: [UInt8], isPlainText: Bool = false) {
            self.channel = channel
            self.opcode = opcode
            self.payload = payload
            self.isPlainText = isPlainText
        }

        /// Text that is a JSON value is one for clients of the `json` protocol, unless it is declared as text.
        var form: NumberedPublication.Form {
            guard opcode == .text, !isPlainText else { return .systemText }
            return payload.withUnsafeBytes { RequestReader.isJSONValue($0) } ? .systemJSON : .systemText
        }
    }

    /// Publishes messages, those of a channel in their order, and returns the result of each. While the hub is parked, all
    /// are refused.
    package func publish(_ messages: [Message]) async -> [Published] {
        var results = Array(repeating: Published(connections: 0), count: messages.count)
        guard !messages.isEmpty else { return results }
        func refuse(_ reason: String) -> [Published] {
            for index in results.indices { results[index].refusal = reason }
            return results
        }
        guard await waitForRoom(messages) else { return refuse("too much waits for the channels' homes; try again") }
        guard gate.enter() else { return refuse(HubParked().reason) }
        let now = clinux_monotonic_nanoseconds()
        let answers = await Replies.collect(messages.count) { replies in
            defer { gate.leave() }
            for (index, message) in messages.enumerated() {
                let batch = PublicationBatch(message.form, message.opcode, message.payload)
                context.account.batches.add(batch.byteCount)
                home(of: message.channel).post(
                    .home(.publish(channel: message.channel, batch, at: now, Receipt(replies: replies, index: index))))
            }
        }
        for answer in answers {
            results[answer.index].connections += answer.connections
            results[answer.index].position = answer.position ?? results[answer.index].position
            results[answer.index].refusal = answer.refusal ?? results[answer.index].refusal
            results[answer.index].isFinal = answer.isFinal || results[answer.index].isFinal
        }
        return results
    }

    /// Waits until the homes of the messages' channels have room, for some seconds at most. False if one had none.
    private func waitForRoom(_ messages: [Message]) async -> Bool {
        var tries = 0
        for message in messages {
            let home = home(of: message.channel)
            while home.forHomes.isFull {
                guard tries < 2_500 else { return false }
                tries += 1
                try? await Task.sleep(for: .milliseconds(2))
            }
        }
        return true
    }

    /// Applies a new configuration, also to existing connections and channels. Settings that can't change while the
    /// workers run keep their values, such as the number of workers and the send ring. If the new configuration
    /// requires tokens, connections without one are closed. Only one call at a time is allowed.
    package func reconfigure(_ configuration: EngineConfiguration) async {
        let next = current.withLock { running in
            running = configuration.succeeding(running)
            return running
        }
        context.admission.setLimits(
            maximum: next.maximumConnections, maximumPerAddress: next.server.maxConnectionsPerIP,
            exemptsLoopback: next.exemptsLoopback)
        context.account.setLimit(next.memoryByteCount)
        _ = await ask { .control(.reconfigure(next, $0)) } as [Void]
        _ = await ask { .control(.recount($0)) } as [Void]
    }

    /// Stops accepting, closes every connection with 1001, evenly spread over `period`, and returns when none is left,
    /// after `timeout` at the latest. A second call replaces the times of the first if it ends earlier; both return at the
    /// end.
    package func drain(period: Duration, timeout: Duration, reason: String) async {
        await stopListening()
        _ = await ask { .control(.drain(period: period, timeout: timeout, reason: reason, $0)) } as [Void]
    }

    /// Stops accepting. A listener passed by systemd stays open there, and new clients wait in it for the next process;
    /// a listener of this process is closed, so that new clients are refused at once.
    func stopListening() async {
        _ = await ask { .control(.stopListening($0)) } as [Void]
        let closing = listeners.withLock { listeners in
            defer { listeners = [] }
            return listeners
        }
        for listener in closing { listener.close() }
    }

    /// Ends the workers' threads. Remaining connections are cut.
    package func stop() async {
        for mailbox in mailboxes {
            mailbox.post(.control(.abort))
            mailbox.post(.control(.stop))
        }
        for thread in threads { await thread.ended() }
        context.events.finish()
    }

    /// Whether every worker has completed a turn since the last call. It also sends the next probe to each worker that
    /// has; the first call does only that.
    package func haveAllWorkersTurned() -> Bool {
        var all = true
        for handle in context.handles {
            let asked = handle.asked.load(ordering: .acquiring)
            guard handle.answered.load(ordering: .acquiring) == asked else {
                all = false
                continue
            }
            handle.asked.store(asked + 1, ordering: .releasing)
            handle.mailbox.post(.control(.probe(asked + 1)))
        }
        return all
    }
}
