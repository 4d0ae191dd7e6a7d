import CBrokerPlugin
import NIOCore

/// The connection to a broker that a plugin makes, on the event loop of the broker.
final class LogConnection {
    /// What happened, as far as it is not a record.
    enum Event {
        case up(partitionCount: Int)
        case down(String)
        case appended(UInt64)
        /// `isTooLarge` says that it is final because of the record's size.
        case failed(UInt64, reason: String, isUncertain: Bool, isFinal: Bool, isTooLarge: Bool)
        case caughtUp(partition: Int, offset: UInt64)
        case lost(partition: Int, offset: UInt64)
        case replaced(partition: Int)
    }

    /// A record. Its bytes are borrowed for the duration of the call.
    struct Record {
        var partition: Int
        var offset: UInt64
        /// In milliseconds since 1970.
        var time: Int64
        var key: UnsafeRawBufferPointer
        var value: UnsafeRawBufferPointer
        /// Whether the value is larger than the plugin gives out, so that it is missing.
        var isTooLarge = false
    }

    enum Place {
        case offset(UInt64)
        /// In milliseconds since 1970.
        case time(Int64)
    }

    private static let eventCount = 512
    /// The most events that are taken in one turn of the loop.
    private static let turnCount = 16 * eventCount

    private let plugin: LogPlugin
    private let loop: any EventLoop
    private let log: OpaquePointer
    private let wake: PluginWake
    private let takeEvent: (Event) -> Void
    private let takeRecord: (Record) -> Void
    private let turnEnded: () -> Void
    private var events = [wsd_event](repeating: wsd_event(), count: eventCount)
    private var isScheduled = false
    /// The partitions of which reading was begun anew since the plugin was polled: what it gave out before is of no use.
    private var readAnew: Set<Int> = []
    private var isClosed = false

    /// Begins to connect.
    init(
        _ plugin: LogPlugin, _ options: [(key: String, value: String)], _ loop: any EventLoop,
        event: @escaping (Event) -> Void, record: @escaping (Record) -> Void, turnEnded: @escaping () -> Void
    ) throws(LogPlugin.Unusable) {
        self.plugin = plugin
        self.loop = loop
        takeEvent = event
        takeRecord = record
        self.turnEnded = turnEnded
        wake = try PluginWake()
        log = try plugin.open(plugin.table.open, options, wake)
    }

    /// Begins to take events.
    func start() { wake.listen(on: loop) { [weak self] in self?.poll() } }

    /// Hands over a record. False if the plugin has no room, or is not connected.
    func append(_ partition: Int, key: String, _ value: [UInt8], token: UInt64) -> Bool {
        var key = key
        return key.withUTF8 { key in
            value.withUnsafeBytes { value in
                plugin.table.append(
                    log, UInt32(clamping: partition), key.baseAddress, key.count, value.baseAddress, value.count, token)
            }
        } == 0
    }

    func read(_ partition: Int, from place: Place) {
        readAnew.insert(partition)
        switch place {
        case .offset(let offset):
            plugin.table.read(log, UInt32(clamping: partition), WSD_FROM_OFFSET, Int64(clamping: offset))
        case .time(let time): plugin.table.read(log, UInt32(clamping: partition), WSD_FROM_TIME, time)
        }
    }

    /// Disconnects. It may take so many milliseconds.
    func close(within milliseconds: UInt32) {
        guard !isClosed else { return }
        isClosed = true
        plugin.table.close(log, milliseconds)
        wake.close()
    }

    private func poll() {
        var count = 0
        while !isClosed {
            readAnew = []
            let found = events.withUnsafeMutableBufferPointer { buffer in
                plugin.table.poll(log, buffer.baseAddress, buffer.count)
            }
            for index in 0..<min(found, events.count) where !isClosed { take(events[index]) }
            count += found
            if found == 0 { break }
            guard count < Self.turnCount else {
                pollLater()
                break
            }
        }
        turnEnded()
    }

    private func pollLater() {
        guard !isScheduled else { return }
        isScheduled = true
        loop.assumeIsolated().execute { [weak self] in
            self?.isScheduled = false
            self?.poll()
        }
    }

    private func take(_ event: wsd_event) {
        let partition = Int(event.partition)
        if event.kind >= WSD_EVENT_RECORD.rawValue, event.kind <= WSD_EVENT_REPLACED.rawValue,
            readAnew.contains(partition)
        {
            return
        }
        switch wsd_event_kind(event.kind) {
        case WSD_EVENT_UP: takeEvent(.up(partitionCount: partition))
        case WSD_EVENT_DOWN: takeEvent(.down(event.words))
        case WSD_EVENT_APPENDED: takeEvent(.appended(event.token))
        case WSD_EVENT_FAILED:
            takeEvent(
                .failed(
                    event.token, reason: event.words,
                    isUncertain: event.flags & WSD_UNCERTAIN.rawValue != 0,
                    isFinal: event.flags & WSD_FINAL.rawValue != 0,
                    isTooLarge: event.flags & WSD_TOO_LARGE.rawValue != 0))
        case WSD_EVENT_RECORD:
            takeRecord(
                Record(
                    partition: partition, offset: event.offset, time: event.timestamp,
                    key: event.keyBytes, value: event.valueBytes,
                    isTooLarge: event.flags & WSD_TOO_LARGE.rawValue != 0))
        case WSD_EVENT_CAUGHT_UP: takeEvent(.caughtUp(partition: partition, offset: event.offset))
        case WSD_EVENT_LOST: takeEvent(.lost(partition: partition, offset: event.offset))
        case WSD_EVENT_REPLACED: takeEvent(.replaced(partition: partition))
        default: break
        }
    }
}
