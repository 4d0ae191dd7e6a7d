import Authentication
import Base
import Broker
import ClusterControl
import Consuming
import Control
import LogBroker
import Logging
import Metrics
import NATSBroker
import NIOCore
import RedisBroker
import Settings
import Synchronization

/// The sources outside whose records this node publishes, and what the log is told of them.
final class Consumers: Sendable {
    /// One `[[consume]]`.
    private struct Running: Sendable {
        var settings: Settings.Consume
        /// What tells its metrics from those of others.
        var labels: [(String, String)]
        var source: any RecordSource
        var consumer: Consumer
        var rejections: RejectionLog
    }

    /// What a consumer has to do with the rest of the daemon.
    struct Surroundings: Sendable {
        var nodeName: String
        /// The size of the largest message.
        var messageByteCount: Int
        var publish: @Sendable ([ChannelMessage], Caller) async -> [Result<PublishResult, ControlError>]
    }

    /// The most bytes that are published together, and the share of what may wait for the broker.
    private static let publishByteCount = 1 << 20
    private static let queueShare = 4
    /// The time between two looks at the sources.
    private static let watchInterval: Duration = .seconds(1)
    /// The time that a publication may take when the daemon ends.
    private static let stopTime: Duration = .seconds(2)

    private let running: [Running]
    private let logger: Logger
    private let tasks = Mutex<[Task<Void, Never>]>([])

    /// - Throws: what is wrong with a file that the configuration names.
    init(
        _ settings: Settings, _ around: Surroundings, on group: any EventLoopGroup, logger: Logger
    ) throws(KeyErrors) {
        var all: [Running] = []
        for consume in settings.consumers {
            let source = try consume.made(settings.broker, around, on: group.next(), logger)
            let name = consume.name
            let byteCount = min(Self.publishByteCount, settings.broker.queueLimitByteCount / Self.queueShare)
            let rejections = RejectionLog(name, logger)
            let consumer = Consumer(
                source, consume.rules,
                Consumer.Surroundings(
                    publish: { [publish = around.publish] in await publish($0, .consumer(source: name)) },
                    publishByteCount: { byteCount }, rejected: { rejections.note($0) }))
            let server = consume.serverName(settings.broker)
            let sameCount = all.count {
                $0.settings.isLike(consume) && $0.settings.serverName(settings.broker) == server
            }
            all.append(
                Running(
                    settings: consume,
                    labels: [
                        ("source", consume.source.rawValue),
                        // Those that differ by the user alone have a number.
                        ("server", sameCount == 0 ? server : "\(server)#\(sameCount + 1)"),
                        ("stream", consume.stream), ("group", consume.group),
                    ], source: source, consumer: consumer, rejections: rejections))
        }
        running = all
        self.logger = logger
    }

    func start() {
        guard !running.isEmpty else { return }
        for each in running { each.source.start() }
        let consumers = running.map { each in Task { await each.consumer.run() } }
        let watch = Task { await self.watch() }
        tasks.withLock { $0 = consumers + [watch] }
    }

    /// Publishes what is under way, as far as that does not take long, and leaves the sources to other nodes.
    func stop() async {
        let ended = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in ended { task.cancel() }
        await withDiscardingTaskGroup { group in
            for (each, task) in zip(running, ended) {
                group.addTask {
                    _ = await within(Self.stopTime) { await task.value }
                    await each.source.stop()
                    each.rejections.tellRest()
                }
            }
        }
    }

    /// Tells the log what becomes of the sources.
    private func watch() async {
        var logs = running.map { ConsumerLog($0.settings.name) }
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.watchInterval) } catch { return }
            for (index, each) in running.enumerated() {
                for line in logs[index].note(each.source.state.phase, refusal: each.consumer.refusal) {
                    logger.log(level: line.level, "\(line.text)")
                }
                each.rejections.tellRestWhenDue()
            }
        }
    }

    var status: [ConsumerStatus] {
        running.map { each in
            let (state, counts) = (each.source.state, each.consumer.counts)
            var status = ConsumerStatus(
                source: each.settings.source.rawValue, stream: each.settings.stream, group: each.settings.group,
                state: .reading, published: Int(clamping: counts.published), rejected: Int(clamping: counts.rejected))
            switch state.phase {
            case .reading:
                status.lag = state.lag
                status.pending = state.pending
                status.problem = each.consumer.refusal
            case .standby(let reader):
                status.state = .standby
                status.reader = reader
            case .down(let reason):
                status.state = .down
                status.problem = reason
            }
            return status
        }
    }

    func add(to text: inout MetricsText) {
        guard !running.isEmpty else { return }
        func each<Value>(_ value: (Running, SourceState) -> Value?) -> [([(String, String)], Value)] {
            running.compactMap { each in
                value(each, each.source.state).map { (each.labels, $0) }
            }
        }
        text.add(
            "wsd_consume_up", .gauge, "Whether the source can be read, by this node or another.",
            each { $1.phase.isDown ? 0 : 1 })
        text.add(
            "wsd_consume_reading", .gauge, "Whether this node is the one that reads the source.",
            each { $1.phase == .reading ? 1 : 0 })
        text.add(
            "wsd_consume_published_total", .counter, "Records that were published.",
            each { each, _ in each.consumer.counts.published })
        text.add(
            "wsd_consume_rejected_total", .counter, "Records that can't be published; the log says why.",
            each { each, _ in each.consumer.counts.rejected })
        text.add(
            "wsd_consume_retries_total", .counter, "Publications of records that were refused, and are tried again.",
            each { each, _ in each.consumer.counts.retried })
        text.add(
            "wsd_consume_lag_records", .gauge, "Records that nobody has read yet, as the node that reads knows it.",
            each { $1.phase == .reading ? $1.lag : nil })
        text.add(
            "wsd_consume_pending_records", .gauge,
            "Records that were read and are not acknowledged, as the node that reads knows it.",
            each { $1.phase == .reading ? $1.pending : nil })
    }
}

extension SourceState.Phase {
    fileprivate var isDown: Bool { if case .down = self { true } else { false } }
}

extension Settings.Consume {
    /// The source, for people.
    var name: String { "\(source.rawValue) \"\(stream)\"" }

    /// Where the source is, without who logs in.
    fileprivate func serverName(_ broker: Settings.Broker) -> String {
        (url ?? broker.url ?? broker.urls.first)?.description ?? ""
    }

    /// Whether another one has the same names at its server.
    fileprivate func isLike(_ other: Self) -> Bool {
        (source, stream, group) == (other.source, other.stream, other.group)
    }

    fileprivate var rules: ConsumerRules {
        let format: ConsumerRules.Format =
            switch self.format {
            case .json: .json
            case .text: .text
            case .binary: .binary
            }
        return ConsumerRules(
            channel: channel.isEmpty ? nil : channel, channelField: channelField, dataField: dataField, format: format)
    }

    fileprivate func made(
        _ broker: Settings.Broker, _ around: Consumers.Surroundings, on loop: any EventLoop, _ logger: Logger
    ) throws(KeyErrors) -> any RecordSource {
        let server = server(broker)
        guard let place = server.url ?? server.urls.first else {
            throw KeyErrors(errors: [KeyError("consume.url: none is given")])
        }
        do throws(KeyErrors) {
            switch source {
            case .redisStream:
                var login = try server.redisOptions(place, .random())
                login.clientName = "wsd-consume"
                var options = RedisStreamSource.Options(stream: stream, group: group)
                options.readsFromBeginning = from == .beginning
                options.deadLetter = deadLetter.isEmpty ? nil : deadLetter
                options.nodeName = around.nodeName
                options.recordByteCount = around.messageByteCount
                return RedisStreamSource(options, at: login, on: loop)
            case .natsStream:
                var login = try server.natsOptions(place, .random())
                login.clientName = "wsd-consume"
                if url != nil { login.table = "consume" }
                var options = NATSStreamSource.Options(stream: stream, group: group)
                options.subject = subject
                options.readsFromBeginning = from == .beginning
                options.nodeName = around.nodeName
                options.recordByteCount = around.messageByteCount
                return NATSStreamSource(options, at: login, on: loop)
            case .kafkaTopic, .rabbitmqQueue:
                let options = try server.connectionOptions(place, "wsd-\(around.nodeName)") + pluginOptions(around)
                return PluginSource(
                    try server.plugin(), options,
                    limit: "\(around.messageByteCount) bytes, and 64 KiB and 512 headers besides", on: loop,
                    lost: { [name] in logger.warning("records of \(name) were gone before they were read: \($0)") })
            }
        } catch { throw url == nil ? error : error.ofConsumer }
    }

    /// What is read, as the plugin is told.
    private func pluginOptions(_ around: Consumers.Surroundings) -> [(key: String, value: String)] {
        var options = [(key: "max_record", value: "\(around.messageByteCount)")]
        if source == .kafkaTopic {
            return options + [
                ("topic", stream), ("group", group), ("from", from == .beginning ? "earliest" : "latest"),
            ]
        }
        options.append(("queue", stream))
        if !exchange.isEmpty { options += [("exchange", exchange), ("binding", binding)] }
        return options
    }

    /// Where the source is, and how one logs in there.
    private func server(_ broker: Settings.Broker) -> Settings.Broker {
        guard let url else { return broker }
        var server = Settings().broker
        server.type = source.type
        server.url = url
        server.passwordFile = passwordFile
        server.authorityFile = authorityFile
        server.credentialsFile = credentialsFile
        return server
    }

    /// Checks the files that the configuration names.
    func check(loadsPlugin: Bool) throws(KeyErrors) {
        guard url != nil else { return }
        do throws(KeyErrors) { try server(Settings().broker).check(loadsPlugin: loadsPlugin) } catch {
            throw error.ofConsumer
        }
    }
}

extension KeyErrors {
    /// The same of a consumer's keys, which are read like those of the broker.
    fileprivate var ofConsumer: KeyErrors {
        KeyErrors(
            errors: errors.map { error in
                let text = error.description
                return text.hasPrefix("broker.") ? KeyError("consume." + text.dropFirst("broker.".count)) : error
            })
    }
}
