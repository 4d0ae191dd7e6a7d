import CBrokerPlugin
import Foundation
import Synchronization

@testable import LogBroker

/// A log in memory, and the plugin that nodes use it by: what a client library may do, at the will of a test.
final class FakeLog: @unchecked Sendable {
    /// What becomes of a record that is appended.
    enum Fate {
        case taken
        /// It waits, as the partition has no leader.
        case held
        /// It is not taken, and the client can't say so.
        case lost
    }

    struct Row {
        var time: Int64
        var key: [UInt8] = []
        var value: [UInt8]
        var flags: UInt32 = 0

        /// What a node has said in it.
        var record: LogRecord? { value.withUnsafeBytes { LogRecord.isMarked($0) ? try? LogRecord($0) : nil } }
    }

    private enum Event {
        case up
        case answer(wsd_event_kind, token: UInt64, flags: UInt32)
        case lost(Int)
        case caughtUp(Int, Int)
    }

    private struct Client {
        var wake: CInt
        var events: [Event] = [.up]
        /// The offset that is read next, of each partition.
        var places: [Int: Int] = [:]
        /// Whether it gets no records at present.
        var isPaused = false
        /// What the last poll has given out.
        var buffers: [UnsafeMutableRawBufferPointer] = []
    }

    private struct State {
        var partitions: [[Row]]
        var clients: [Int: Client] = [:]
        var held: [(client: Int, partition: Int, row: Row, token: UInt64)] = []
        var refusedOpens = 0
        var clockLag: Int64 = 0
        var fate: @Sendable (LogRecord, Int) -> Fate = { _, _ in .taken }
    }

    private static let logs = Mutex<[Int: FakeLog]>([:])
    private static let lastNumber = Atomic<Int>(0)

    /// What nodes are to say in their options.
    let options: [(key: String, value: String)]
    private let number: Int
    // Only read and changed by `with`.
    private var state: State
    private let lock = NSLock()

    init(partitions count: Int = 2) {
        number = Self.lastNumber.add(1, ordering: .relaxed).newValue
        options = [("log", "\(number)")]
        state = State(partitions: Array(repeating: [], count: count))
        Self.logs.withLock { $0[number] = self }
    }

    private func with<Value>(_ body: (inout State) -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body(&state)
    }

    func end() { Self.logs.withLock { $0[number] = nil } }

    // MARK: What a test does

    /// What is in a partition.
    func rows(_ partition: Int) -> [Row] { with { $0.partitions[partition] } }

    func append(_ partition: Int, _ row: Row) {
        with { state in
            state.partitions[partition].append(row)
            Self.wake(state.clients.values)
        }
    }

    /// Has the next connections fail.
    func refuseOpens(_ count: Int) { with { $0.refusedOpens = count } }

    /// Has the broker's clock be behind.
    func lag(by milliseconds: Int64) { with { $0.clockLag = milliseconds } }

    /// Says what becomes of the records that nodes append; what was held is judged again.
    func judge(_ fate: @escaping @Sendable (LogRecord, Int) -> Fate) {
        with { state in
            state.fate = fate
            let held = state.held
            state.held = []
            for (client, partition, row, token) in held { Self.take(row, partition, token, client, &state) }
        }
    }

    /// Gives the node that connected as the nth, from 1, nothing more until `resume`.
    func pause(_ client: Int) { with { $0.clients[number << 16 | client]?.isPaused = true } }

    /// - Parameter lost: a partition of which what is there has to be skipped.
    func resume(_ client: Int, lost partition: Int? = nil) {
        with { state in
            let client = number << 16 | client
            state.clients[client]?.isPaused = false
            if let partition {
                state.clients[client]?.places[partition] = state.partitions[partition].count
                state.clients[client]?.events.append(.lost(partition))
            }
            Self.wake(state.clients.values)
        }
    }

    // MARK: What the plugin does

    private static func wake(_ clients: some Collection<Client>) {
        for client in clients { _ = write(client.wake, "x", 1) }
    }

    private static func take(_ row: Row, _ partition: Int, _ token: UInt64, _ client: Int, _ state: inout State) {
        switch row.record.map({ state.fate($0, partition) }) ?? .taken {
        case .taken:
            state.partitions[partition].append(row)
            state.clients[client]?.events.append(.answer(WSD_EVENT_APPENDED, token: token, flags: 0))
        case .held: state.held.append((client, partition, row, token))
        case .lost:
            state.clients[client]?.events.append(
                .answer(WSD_EVENT_FAILED, token: token, flags: WSD_UNCERTAIN.rawValue))
        }
        wake(state.clients.values)
    }

    private static func with<Value>(
        _ handle: OpaquePointer?, _ body: (inout State, Int) -> Value
    ) -> Value? {
        let client = Int(bitPattern: handle)
        guard let log = logs.withLock({ $0[client >> 16] }) else { return nil }
        return log.with { body(&$0, client) }
    }

    private static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    static let plugin: LogPlugin = {
        var table = wsd_plugin()
        table.abi = UInt32(WSD_PLUGIN_ABI)
        table.open = { options, _, wake, error, size in
            guard let text = options?.pointee.value, let number = Int(String(cString: text)),
                let log = FakeLog.logs.withLock({ $0[number] })
            else { return nil }
            return log.with { state -> Int? in
                guard state.refusedOpens == 0 else {
                    state.refusedOpens -= 1
                    if let error, size > 0 { error.pointee = 0 }
                    return nil
                }
                let client = number << 16 | (state.clients.count + 1)
                state.clients[client] = Client(wake: wake)
                return client
            }.flatMap { OpaquePointer(bitPattern: $0) }
        }
        table.append = { handle, partition, key, keyCount, value, valueCount, token in
            let key = Array(UnsafeRawBufferPointer(start: key, count: keyCount))
            let value = Array(UnsafeRawBufferPointer(start: value, count: valueCount))
            _ = FakeLog.with(handle) { state, client in
                let row = Row(time: FakeLog.now - state.clockLag, key: key, value: value)
                FakeLog.take(row, Int(partition), token, client, &state)
            }
            return 0
        }
        table.read = { handle, partition, from, place in
            _ = FakeLog.with(handle) { state, client in
                let end = state.partitions[Int(partition)].count
                state.clients[client]?.places[Int(partition)] = from == WSD_FROM_OFFSET ? Int(place) : 0
                state.clients[client]?.events.append(.caughtUp(Int(partition), end))
                FakeLog.wake(state.clients.values)
            }
        }
        table.poll = { handle, events, limit in
            FakeLog.with(handle) { state, client in FakeLog.poll(&state, client, events, limit) } ?? 0
        }
        table.close = { handle, _ in
            _ = FakeLog.with(handle) { state, client in
                for buffer in state.clients[client]?.buffers ?? [] { buffer.deallocate() }
                state.clients[client] = nil
            }
        }
        return LogPlugin(table)
    }()

    private static func poll(
        _ state: inout State, _ number: Int, _ events: UnsafeMutablePointer<wsd_event>?, _ limit: Int
    ) -> Int {
        guard let events, var client = state.clients[number] else { return 0 }
        defer { state.clients[number] = client }
        for buffer in client.buffers { buffer.deallocate() }
        client.buffers = []
        var count = 0
        func give(_ kind: wsd_event_kind, _ fill: (inout wsd_event) -> Void) {
            events[count] = wsd_event()
            events[count].kind = kind.rawValue
            fill(&events[count])
            count += 1
        }
        guard !client.isPaused else { return 0 }
        for (partition, place) in client.places.sorted(by: { $0.key < $1.key }) {
            for (offset, row) in state.partitions[partition].enumerated().dropFirst(place) where count < limit {
                let buffer = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: row.key.count + row.value.count + 1, alignment: 1)
                buffer.copyBytes(from: row.key + row.value)
                client.buffers.append(buffer)
                give(WSD_EVENT_RECORD) { event in
                    event.partition = UInt32(partition)
                    event.offset = UInt64(offset)
                    event.timestamp = row.time
                    event.flags = row.flags
                    event.key = UnsafeRawPointer(buffer.baseAddress)
                    event.key_count = row.key.count
                    event.value = buffer.baseAddress.map { UnsafeRawPointer($0 + row.key.count) }
                    event.value_count = row.value.count
                }
                client.places[partition] = offset + 1
            }
        }
        while count < limit, !client.events.isEmpty {
            switch client.events.removeFirst() {
            case .up: give(WSD_EVENT_UP) { $0.partition = UInt32(state.partitions.count) }
            case .answer(let kind, let token, let flags):
                give(kind) {
                    $0.token = token
                    $0.flags = flags
                }
            case .lost(let partition): give(WSD_EVENT_LOST) { $0.partition = UInt32(partition) }
            case .caughtUp(let partition, let offset):
                give(WSD_EVENT_CAUGHT_UP) {
                    $0.partition = UInt32(partition)
                    $0.offset = UInt64(offset)
                }
            }
        }
        return count
    }
}
