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

    /// The records that are taken from the plugin before somebody wants them, and those given out at once.
    private static let bufferCount = 1_024
    private static let batchCount = 256

    /// What belongs to the event loop.
    package final class Reader: LoopSourceReader {
        private let plugin: LogPlugin
        private let source: OpaquePointer
        private let wake: PluginWake
        private let limit: String
        private let change: ((inout Shared) -> Void) -> Void
        private var events = [wsd_event](repeating: wsd_event(), count: batchCount)
        private var buffer: [Record] = []
        private var term: UInt64 = 0
        private var isGranted = false
        private var wanted: ((RecordBatch?) -> Void)?
        /// What was given out and is not settled.
        private var out: Set<String> = []
        private var isEnding = false

        fileprivate init(
            _ plugin: LogPlugin, _ options: [(key: String, value: String)], _ limit: String,
            _ change: @escaping ((inout Shared) -> Void) -> Void
        ) throws(LogPlugin.Unusable) {
            self.plugin = plugin
            self.limit = limit
            self.change = change
            wake = try PluginWake()
            source = try plugin.open(plugin.table.source_open, options, wake)
        }

        fileprivate func start(on loop: any EventLoop) { wake.listen(on: loop) { [weak self] in self?.poll() } }

        package func next(_ body: @escaping (RecordBatch?) -> Void) {
            guard !isEnding else { return body(nil) }
            wanted = body
            if !out.isEmpty {
                // Not all of the last batch was settled.
                out = []
                buffer = []
                plugin.table.source_rewind(source)
            }
            give()
            poll()
        }

        private func poll() {
            while !isEnding, buffer.count < bufferCount {
                let count = events.withUnsafeMutableBufferPointer { events in
                    plugin.table.source_poll(source, events.baseAddress, events.count)
                }
                guard count > 0 else { break }
                for event in events.prefix(count) { take(event) }
                give()
            }
            let lag = plugin.table.source_lag(source)
            let pending = out.count + buffer.count
            change { shared in
                shared.state.lag = lag < 0 ? nil : Int(lag)
                shared.state.pending = pending
            }
        }

        private func take(_ event: wsd_event) {
            switch wsd_event_kind(event.kind) {
            case WSD_EVENT_UP: change { if !$0.isGranted { $0.state.phase = .standby(reader: "another node") } }
            case WSD_EVENT_DOWN:
                let reason = event.words
                revoke()
                change { $0.state.phase = .down(reason: reason) }
            case WSD_EVENT_GRANTED:
                term += 1
                isGranted = true
                let term = term
                change { shared in
                    shared.term = term
                    shared.isGranted = true
                    shared.state.phase = .reading
                }
            case WSD_EVENT_REVOKED:
                let reader = event.words.isEmpty ? "another node" : event.words
                revoke()
                change { $0.state.phase = .standby(reader: reader) }
            case WSD_EVENT_RECORD: buffer.append(record(event))
            default: break
            }
        }

        private func revoke() {
            isGranted = false
            buffer = []
            out = []
            change { $0.isGranted = false }
        }

        private func record(_ event: wsd_event) -> Record {
            let id = "\(event.partition):\(event.offset)"
            if event.flags & WSD_TOO_LARGE.rawValue != 0 {
                return Record(id: id, .tooLarge(byteCount: Int(clamping: event.offset2), limit: limit))
            }
            var fields = ["key": Array(event.keyBytes), "data": Array(event.valueBytes)]
            for header in UnsafeBufferPointer(start: event.headers, count: Int(event.header_count)) {
                guard let name = header.name else { continue }
                fields[String(cString: name)] = Array(
                    UnsafeRawBufferPointer(start: header.value, count: header.value == nil ? 0 : header.value_count))
            }
            return Record(id: id, .fields(fields))
        }

        private func give() {
            guard isGranted, !buffer.isEmpty, let body = wanted else { return }
            wanted = nil
            let records = Array(buffer.prefix(batchCount))
            buffer.removeFirst(records.count)
            out = Set(records.map(\.id))
            body(RecordBatch(records, term: term))
        }

        package func settle(_ records: [SettledRecord]) {
            for record in records {
                let parts = record.id.split(separator: ":")
                guard out.remove(record.id) != nil, parts.count == 2, let partition = UInt32(parts[0]),
                    let offset = UInt64(parts[1])
                else { continue }
                if let fault = record.fault {
                    fault.withCString { plugin.table.source_settle(source, partition, offset, $0) }
                } else {
                    plugin.table.source_settle(source, partition, offset, nil)
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
            plugin.table.source_close(source, 2_000)
            wake.close()
            body()
        }
    }

    package let loop: any EventLoop
    private let shared = Mutex(Shared())
    package let reader: NIOLoopBoundBox<Reader?>
    private let open: @Sendable (PluginSource) -> Void

    /// - Parameters:
    ///   - options: what the plugin is told.
    ///   - limit: the size of the largest record, in words.
    package init(_ plugin: LogPlugin, _ options: [(key: String, value: String)], limit: String, on loop: any EventLoop)
    {
        self.loop = loop
        reader = NIOLoopBoundBox.makeEmptyBox(valueType: Reader.self, eventLoop: loop)
        open = { source in
            do throws(LogPlugin.Unusable) {
                let reader = try Reader(plugin, options, limit) { change in source.shared.withLock { change(&$0) } }
                source.reader.value = reader
                reader.start(on: loop)
            } catch {
                source.shared.withLock { $0.state.phase = .down(reason: error.description) }
            }
        }
    }

    package var state: SourceState { shared.withLock(\.state) }

    package func start() { loop.execute { [self] in open(self) } }

    package func isCurrent(_ term: UInt64) -> Bool {
        shared.withLock { $0.isGranted && $0.term == term }
    }
}
