import Base
import Broker
import BrokerSupport
import CLinux
import NIOCore

/// The part of a broker that belongs to its event loop.
final class LogCore: BrokerCore {
    let loop: any EventLoop
    let options: LogBroker.Options
    private let plugin: LogPlugin
    private let snapshot: StatisticsBox
    var statistics = BrokerStatistics()

    private var outlet: BrokerOutlet!
    private(set) var connection: LogConnection?
    private(set) var nodes: LogNodes!
    private var partitions: [LogPartition] = []
    private var probe: LogProbe!

    /// Whether the broker can be used, as far as the plugin knows.
    private(set) var isConnected = false
    private var reason: String?
    /// Why it does not do what it is for, though there is a connection.
    private var fault: String?
    private var isStopping = false
    private var isPumpScheduled = false
    /// What was asked before the number of partitions was known.
    private var earlySubscriptions: [Name: Subscription] = [:]
    private var earlyUsers: [LogOwnUsers.Key: PresenceChange] = [:]
    private var earlyBatches: [OutgoingBatch] = []
    private var earlyDeadlines: DeadlineSweep!
    private var epochs = EpochNames()
    private var refreshing: Scheduled<Void>?
    private var connectionCount: UInt64 = 0
    /// The records that were read.
    private(set) var readCount: UInt64 = 0
    /// Those of them with which a partition came nearer to where it has caught up.
    private(set) var catchUpCount: UInt64 = 0

    init(
        _ loop: any EventLoop, _ plugin: LogPlugin, _ options: LogBroker.Options, _ sink: any BrokerSink,
        _ snapshot: StatisticsBox
    ) {
        self.loop = loop
        self.plugin = plugin
        self.options = options
        self.snapshot = snapshot
        reason = "\(options.place) is not connected yet"
        outlet = BrokerOutlet(loop, sink) { [weak self] in self?.noteStatistics() }
        nodes = LogNodes(self)
        probe = LogProbe(self)
        earlyDeadlines = DeadlineSweep(loop) { [weak self] in self?.refuseEarly(at: $0) ?? .max }
    }

    var name: String { options.place }
    /// The time in milliseconds since 1970.
    var now: Int64 { clinux_realtime_milliseconds() }
    /// How long other nodes' users are waited for.
    var patience: TimeAmount { TimeAmount(options.probeInterval) }
    var isUp: Bool { outlet.isUp }

    func start() {
        checkHealth()
        open()
        probe.start()
        scheduleRefresh()
    }

    private func scheduleRefresh() {
        let pause = TimeAmount.nanoseconds(max(10_000_000, TimeAmount(options.window).nanoseconds / 8))
        refreshing = loop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
            guard let self, !isStopping else { return }
            for partition in partitions { partition.refresh() }
            scheduleRefresh()
        }
    }

    /// Makes the connection, or another one instead of one that is of no use.
    func open() {
        connection?.close(within: 0)
        connection = nil
        if isConnected { disconnected("\(name) is connected anew") }
        for partition in partitions { partition.takeBack() }
        do throws(LogPlugin.Unusable) {
            connection = try LogConnection(
                plugin, options.plugin, loop, event: { [weak self] in self?.take($0) },
                record: { [weak self] in self?.read($0) }, turnEnded: { [weak self] in self?.turnEnded() })
            connection?.start()
        } catch {
            reason = error.description
            checkHealth()
        }
    }

    func perform(_ calls: [BrokerCall]) {
        for call in calls { perform(call) }
        pump()
        noteStatistics()
    }

    private func perform(_ call: BrokerCall) {
        switch call {
        case .nodes(let promise):
            guard !isStopping, isUp, let first = partitions.first else { return promise.succeed(nil) }
            return first.whenCurrent { [self] isCurrent in promise.succeed(isCurrent ? nodes.list : nil) }
        case .send(let message, let node):
            // Nobody waits for it: what can't be sent at once is not sent.
            guard let first = partitions.first, first.takesRecords, first.writer.count < 10_000 else { return }
            return first.writer.append(.content(.message(message, to: node)))
        default: break
        }
        guard !isStopping else { return }
        guard !partitions.isEmpty else { return wait(call) }
        switch call {
        case .publish(let batches): for batch in batches { partition(of: batch.channel).writer.append(.batch(batch)) }
        case .subscribe(let subscriptions):
            for subscription in subscriptions { partition(of: subscription.channel).subscribe(subscription) }
        case .unsubscribe(let names): for name in names { partition(of: name).unsubscribe(name) }
        case .change(let changes): for change in changes { partition(of: change.channel).own.change(change) }
        case .members(let channel, let token): partition(of: channel).askForMembers(of: channel, token: token)
        case .nodes, .send: break
        }
    }

    /// Keeps a call until the broker has said how many partitions there are. The hub asks for no more than it holds
    /// itself.
    private func wait(_ call: BrokerCall) {
        switch call {
        case .members(let channel, let token): emit(.members(channel: channel, token: token, nil))
        case .publish(let batches):
            earlyBatches += batches
            for batch in batches { earlyDeadlines.note(batch.deadline) }
        case .subscribe(let subscriptions):
            for subscription in subscriptions { earlySubscriptions[Name(subscription.channel)] = subscription }
        case .unsubscribe(let names): for name in names { earlySubscriptions[Name(name)] = nil }
        // Nobody was told of those who leave.
        case .change(let changes): for change in changes { earlyUsers[change.key] = change.isPresent ? change : nil }
        case .nodes, .send: break
        }
    }

    private func partition(of channel: String) -> LogPartition {
        partitions[Murmur2.partition(of: channel, among: partitions.count)]
    }

    func stop(within time: TimeAmount, then body: @escaping () -> Void) {
        isStopping = true
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            probe.stop()
            refreshing?.cancel()
            for partition in partitions { partition.stop() }
            connection?.close(within: 200)
            connection = nil
            _ = refuseEarly(at: .max)
            outlet.flush()
            body()
        }
        loop.assumeIsolated().scheduleTask(in: time) { finish() }
        guard isConnected, !partitions.isEmpty else { return finish() }
        whenWritten { [self] in
            for partition in partitions {
                partition.own.withdraw(at: now)
                partition.pump()
                partition.writer.append(.content(.end))
                partition.writer.pump()
            }
            whenWritten(finish)
        }
    }

    private func whenWritten(_ body: @escaping () -> Void) {
        var missing = partitions.count
        for partition in partitions {
            partition.writer.whenEmpty {
                missing -= 1
                if missing == 0 { body() }
            }
        }
    }

    /// Refuses the batches that have waited until their deadline; returns the next one.
    private func refuseEarly(at now: UInt64) -> UInt64 {
        for batch in earlyBatches where batch.deadline <= now {
            let refusal = BrokerRefusal(reason: problem ?? "\(name) is not connected", isUncertain: false)
            emit(.refused(channel: batch.channel, number: batch.number, refusal))
        }
        earlyBatches.removeAll { $0.deadline <= now }
        return earlyBatches.lazy.map(\.deadline).min() ?? .max
    }

    // MARK: Events

    private func take(_ event: LogConnection.Event) {
        switch event {
        case .up(let count): connected(count)
        case .down(let text): disconnected(text)
        case .appended(let token): at(LogWriter.partition(of: token))?.writer.appended(token)
        case .failed(let token, let reason, let isUncertain, let isFinal, let isTooLarge):
            at(LogWriter.partition(of: token))?.writer.failed(
                token, reason, isUncertain: isUncertain, isFinal: isFinal, isTooLarge: isTooLarge)
        case .caughtUp(let partition, let offset): at(partition)?.caughtUp(offset)
        case .lost(let partition, let offset): at(partition)?.lost(offset)
        case .replaced(let partition): replaced(partition)
        }
    }

    /// Notes that the log is another one, or older than what was read.
    func replaced(_ partition: Int) {
        fault = "\(name) has lost data, and is read anew"
        checkHealth()
        fault = nil
        at(partition)?.replaced()
    }

    private func read(_ record: LogConnection.Record) {
        readCount &+= 1
        guard let partition = at(record.partition) else { return }
        if partition.isBehind(record) { catchUpCount &+= 1 }
        partition.read(record)
    }

    private func at(_ number: Int) -> LogPartition? { partitions.indices.contains(number) ? partitions[number] : nil }

    private func connected(_ count: Int) {
        guard count > 0 else { return }
        guard partitions.isEmpty || partitions.count == count else {
            // Nothing is taken any more: a node that starts now has the channels elsewhere.
            return disconnected(
                "\(name) has \(count) partitions instead of \(partitions.count): restart all nodes, so that they agree in "
                    + "which one a channel is")
        }
        connectionCount += 1
        if connectionCount > 1 { statistics.reconnects += 1 }
        isConnected = true
        reason = nil
        fault = nil
        nodes.connected()
        if partitions.isEmpty { partitions = (0..<count).map { LogPartition(self, $0, of: count) } }
        for partition in partitions { partition.connected() }
        perform(.subscribe(Array(earlySubscriptions.values)))
        perform(.change(Array(earlyUsers.values)))
        perform(.publish(earlyBatches))
        earlySubscriptions = [:]
        earlyUsers = [:]
        earlyBatches = []
        probe.send()
        pump()
        checkHealth()
    }

    private func disconnected(_ text: String) {
        reason = text
        guard isConnected else { return checkHealth() }
        isConnected = false
        nodes.disconnected()
        for partition in partitions { partition.disconnected() }
        checkHealth()
    }

    private func turnEnded() {
        pump()
        outlet.flush()
    }

    // MARK: What the parts need

    /// Appends a record to each partition.
    func say(_ content: LogRecord.Content) {
        for partition in partitions where partition.takesRecords {
            partition.writer.append(.content(content))
            partition.writer.pump()
        }
    }

    /// Has each partition say of nodes that nobody knows that they are gone, after a time.
    func removeStrangers(at now: NIODeadline, after life: TimeAmount) {
        for partition in partitions { partition.removeStrangers(at: now, after: life) }
    }

    func pump() { for partition in partitions { partition.pump() } }

    /// Hands over what has come up, at the end of this turn of the loop.
    func pumpSoon() {
        guard !isPumpScheduled else { return }
        isPumpScheduled = true
        loop.assumeIsolated().execute { [weak self] in
            self?.isPumpScheduled = false
            self?.pump()
        }
    }

    func emit(_ event: BrokerEvent) { outlet.emit(event) }

    func deliver(_ batch: DeliveredBatch) {
        statistics.note(delivered: batch)
        statistics.noteLag(of: batch)
        emit(.delivered(batch))
    }

    /// A new name for a numbering.
    func freshEpoch() -> String { epochs.next() }

    // MARK: Health

    /// Why the broker can't be used at present; nil if nothing is known against it.
    var problem: String? { reason ?? fault }

    /// The partitions from which no probe of the last round has come back.
    var silentPartitions: [LogPartition] { partitions.filter(\.isSilent) }

    var isCatchingUp: Bool { partitions.contains { $0.phase == .catchingUp } }

    func sendProbes() { for partition in partitions { partition.beginRound() } }

    func noteFault(_ text: String) {
        fault = text
        for partition in partitions { partition.disconnected() }
        checkHealth()
    }

    func probeReturned(_ number: Int) {
        probe.returned()
        guard partitions.allSatisfy(\.isProven) else { return }
        fault = nil
        checkHealth()
    }

    func checkHealth() {
        outlet.tell(
            problem: problem,
            isProven: !partitions.isEmpty && partitions.allSatisfy { $0.isProven && $0.phase == .live })
    }

    private func noteStatistics() {
        var statistics = statistics
        statistics.channels = partitions.reduce(0) { $0 + $1.channelCount }
        statistics.waitingChannels = partitions.reduce(0) { $0 + $1.waitingCount }
        statistics.isUp = outlet.isUp
        snapshot.value = statistics
    }
}
