package import Broker
import BrokerSupport
import CBrokerPlugin
package import NIOCore
import Synchronization

/// A topic of Kafka or a queue of RabbitMQ as a source of records, which the broker gives to one node at a time, or in
/// parts, and of which it keeps the position.
package final class PluginSource: LoopRecordSource {
    fileprivate struct Shared: Sendable {
        var state = SourceState(.down(reason: "not connected yet"))
        var term: UInt64 = 0
        var isGranted = false
    }

    /// The records that are given out at once, and their bytes unless one has more.
    private static let batchCount = 256
    private static let batchByteCount = 1 << 20
    /// The time between two looks at the plugin that it does not ask for: Kafka takes a reader that does not look for one
    /// that hangs, and it learns how many records wait.
    private static let lookInterval: TimeAmount = .seconds(5)
    /// The time until a plugin that could not open the source is asked again.
    private static let openInterval: TimeAmount = .seconds(5)

    /// What belongs to the event loop.
    package final class Reader: LoopSourceReader {
        private let loop: any EventLoop
        private let plugin: LogPlugin
        private let options: [(key: String, value: String)]
        private let limit: String
        private let lost: (String) -> Void
        private let change: ((inout Shared) -> Void) -> Void
        /// Nil until the plugin has opened the source.
        private var opened: (source: OpaquePointer, wake: PluginWake)?
        private var timer: Scheduled<Void>?
        private var events = [wsd_event](repeating: wsd_event(), count: batchCount)
        /// Records that the plugin gave out before somebody wanted them. The plugin bounds them, by what is not settled.
        private var buffer: [Record] = []
        /// Counts up when records that were given out are no longer this reader's to publish: a partition goes to another
        /// reader, or begins anew.
        private var term: UInt64 = 0
        /// The partitions that this reader has.
        private var granted: Set<UInt32> = []
        /// Why the source can't be read, and who reads instead, as far as that is known.
        private var problem: String?
        private var otherReader = "another node"
        private var wanted: ((RecordBatch?) -> Void)?
        /// What was given out and is not settled.
        private var out: Set<String> = []
        private var isEnding = false

        fileprivate init(
            _ plugin: LogPlugin, _ options: [(key: String, value: String)], _ limit: String, on loop: any EventLoop,
            lost: @escaping (String) -> Void, _ change: @escaping ((inout Shared) -> Void) -> Void
        ) {
            self.plugin = plugin
            self.options = options
            self.limit = limit
            self.loop = loop
            self.lost = lost
            self.change = change
        }

        /// Has the plugin begin to connect, and tries again if it can't.
        fileprivate func open() {
            guard !isEnding else { return }
            do throws(LogPlugin.Unusable) {
                let wake = try PluginWake()
                opened = (try plugin.open(plugin.table.source_open, options, wake), wake)
                wake.listen(on: loop) { [weak self] in self?.poll() }
                look()
            } catch {
                problem = error.description
                tell()
                schedule(in: PluginSource.openInterval) { $0.open() }
            }
        }

        private func look() {
            poll()
            schedule(in: PluginSource.lookInterval) { $0.look() }
        }

        private func schedule(in time: TimeAmount, _ body: @escaping (Reader) -> Void) {
            timer = loop.assumeIsolated().scheduleTask(in: time) { [weak self] in
                if let self { body(self) }
            }
        }

        package func next(_ body: @escaping (RecordBatch?) -> Void) {
            guard !isEnding else { return body(nil) }
            wanted = body
            if !out.isEmpty, let opened {
                // Not all of the last batch was settled.
                out = []
                buffer = []
                plugin.table.source_rewind(opened.source)
            }
            give()
            poll()
        }

        private func poll() {
            while !isEnding, let opened {
                let count = events.withUnsafeMutableBufferPointer { events in
                    plugin.table.source_poll(opened.source, events.baseAddress, events.count)
                }
                guard count > 0 else { break }
                for event in events.prefix(count) { take(event) }
                give()
            }
            let lag = opened.map { plugin.table.source_lag($0.source) } ?? -1
            let pending = out.count + buffer.count
            change { shared in
                shared.state.lag = lag < 0 ? nil : Int(lag)
                shared.state.pending = pending
            }
        }

        private func take(_ event: wsd_event) {
            switch wsd_event_kind(event.kind) {
            case WSD_EVENT_UP:
                problem = nil
                tell()
            case WSD_EVENT_DOWN:
                // What was granted stays so until the plugin revokes it: a broker that is away for a moment takes nothing.
                problem = event.words
                tell()
            case WSD_EVENT_GRANTED:
                granted.insert(event.partition)
                tell()
            case WSD_EVENT_REVOKED: revoke(event.partition, to: event.words)
            case WSD_EVENT_LOST:
                // Its offsets are those of other records from now on.
                forget(event.partition)
                tell()
                lost("partition \(event.partition) is read from its first record on: \(event.words)")
            case WSD_EVENT_RECORD: buffer.append(record(event))
            default: break
            }
        }

        /// Notes that another reader has a partition.
        private func revoke(_ partition: UInt32, to reader: String) {
            granted.remove(partition)
            otherReader = reader.isEmpty ? "another node" : reader
            forget(partition)
            tell()
        }

        /// Drops the records of a partition, which are no longer this reader's to publish. Those of the others that were
        /// given out are given out again, as they are of an earlier term.
        private func forget(_ partition: UInt32) {
            term += 1
            let prefix = "\(partition):"
            buffer.removeAll { $0.id.hasPrefix(prefix) }
            out = out.filter { !$0.hasPrefix(prefix) }
        }

        private var phase: SourceState.Phase {
            if let problem { return .down(reason: problem) }
            return granted.isEmpty ? .standby(reader: otherReader) : .reading
        }

        /// Shows what has changed to other threads.
        private func tell() {
            let (term, isGranted, phase) = (term, !granted.isEmpty, phase)
            change { shared in
                shared.term = term
                shared.isGranted = isGranted
                shared.state.phase = phase
            }
        }

        private func record(_ event: wsd_event) -> Record {
            let id = "\(event.partition):\(event.offset)"
            if event.flags & WSD_TOO_LARGE.rawValue != 0 {
                return Record(id: id, .tooLarge(byteCount: Int(clamping: event.offset2), limit: limit))
            }
            var fields: [String: [UInt8]] = [:]
            for header in UnsafeBufferPointer(start: event.headers, count: Int(event.header_count)) {
                guard let name = header.name else { continue }
                fields[String(cString: name)] = Array(
                    UnsafeRawBufferPointer(start: header.value, count: header.value == nil ? 0 : header.value_count))
            }
            // These are the record's own, whatever its headers are called.
            fields["key"] = Array(event.keyBytes)
            fields["data"] = Array(event.valueBytes)
            return Record(id: id, .fields(fields))
        }

        private func give() {
            guard !granted.isEmpty, !buffer.isEmpty, let body = wanted else { return }
            wanted = nil
            var byteCount = 0
            let records = Array(
                buffer.prefix(PluginSource.batchCount).prefix { record in
                    defer { byteCount += record.byteCount }
                    return byteCount == 0 || byteCount + record.byteCount <= PluginSource.batchByteCount
                })
            buffer.removeFirst(records.count)
            out = Set(records.map(\.id))
            body(RecordBatch(records, term: term))
        }

        package func settle(_ records: [SettledRecord]) {
            guard let opened else { return }
            for record in records {
                let parts = record.id.split(separator: ":")
                guard out.remove(record.id) != nil, parts.count == 2, let partition = UInt32(parts[0]),
                    let offset = UInt64(parts[1])
                else { continue }
                if let fault = record.fault {
                    fault.withCString { plugin.table.source_settle(opened.source, partition, offset, $0) }
                } else {
                    plugin.table.source_settle(opened.source, partition, offset, nil)
                }
            }
        }

        package func end() {
            isEnding = true
            let waiting = wanted
            wanted = nil
            waiting?(nil)
        }

        package func stop(then body: @escaping () -> Void) {
            end()
            timer?.cancel()
            if let opened {
                plugin.table.source_close(opened.source, 2_000)
                opened.wake.close()
            }
            opened = nil
            body()
        }
    }

    package let loop: any EventLoop
    private let shared = Mutex(Shared())
    package let reader: NIOLoopBoundBox<Reader?>
    private let make: @Sendable (PluginSource) -> Reader

    /// - Parameters:
    ///   - options: what the plugin is told.
    ///   - limit: the size of the largest record, in words.
    ///   - lost: told of records that were to be read and are gone, in words.
    package init(
        _ plugin: LogPlugin, _ options: [(key: String, value: String)], limit: String, on loop: any EventLoop,
        lost: @escaping @Sendable (String) -> Void
    ) {
        self.loop = loop
        reader = NIOLoopBoundBox.makeEmptyBox(valueType: Reader.self, eventLoop: loop)
        make = { source in
            Reader(plugin, options, limit, on: loop, lost: lost) { change in source.shared.withLock { change(&$0) } }
        }
    }

    package var state: SourceState { shared.withLock(\.state) }

    package func start() {
        loop.execute { [self] in
            let reader = make(self)
            self.reader.value = reader
            reader.open()
        }
    }

    package func isCurrent(_ term: UInt64) -> Bool {
        shared.withLock { $0.isGranted && $0.term == term }
    }
}

extension Record {
    fileprivate var byteCount: Int {
        guard case .fields(let fields) = content else { return 0 }
        return fields.reduce(0) { $0 + $1.key.utf8.count + $1.value.count }
    }
}
