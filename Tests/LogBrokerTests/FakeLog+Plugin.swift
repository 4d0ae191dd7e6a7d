import CBrokerPlugin
import Foundation
import Synchronization

@testable import LogBroker

/// What the plugin does.
extension FakeLog {
    static func wake(_ clients: some Collection<Client>) {
        for client in clients { _ = write(client.wake, "x", 1) }
    }

    /// Does with a record what a test wants. Without a token, it is answered already.
    static func take(_ row: Row, _ partition: Int, _ token: UInt64?, _ client: Int, _ state: inout State) {
        var answer: Event?
        switch row.record.map({ state.fate($0, partition) }) ?? .taken {
        case .taken:
            state.partitions[partition].append(row)
            answer = token.map { .appended($0) }
        case .held: state.held.append((client, partition, row, token))
        case .lost: answer = token.map { .failed($0, isUncertain: true) }
        case .delayed:
            state.held.append((client, partition, row, nil))
            answer = token.map { .failed($0, isUncertain: true) }
        case .refused: answer = token.map { .failed($0, isUncertain: false) }
        }
        if let answer { state.clients[client]?.events.append(answer) }
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
                state.openCount += 1
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
        if state.isGrowing {
            // One record in each turn of the reader's loop.
            client.isServed.toggle()
            if client.isServed { state.partitions[0].append(Row(time: now - 60_000, key: [0x63], value: [0x78])) }
            wake([client])
        }
        for (partition, place) in client.places.sorted(by: { $0.key < $1.key }) {
            let rows = state.partitions[partition]
            for offset in place..<max(place, rows.count) where count < limit {
                let row = rows[offset]
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
        while count < limit, let next = client.events.firstIndex(where: { !state.holdsCatchUp || !$0.isCaughtUp }) {
            switch client.events.remove(at: next) {
            case .up: give(WSD_EVENT_UP) { $0.partition = UInt32(state.partitions.count) }
            case .appended(let token): give(WSD_EVENT_APPENDED) { $0.token = token }
            case .failed(let token, let isUncertain):
                give(WSD_EVENT_FAILED) {
                    $0.token = token
                    $0.flags = isUncertain ? WSD_UNCERTAIN.rawValue : 0
                }
            case .lost(let partition): give(WSD_EVENT_LOST) { $0.partition = UInt32(partition) }
            case .replaced(let partition): give(WSD_EVENT_REPLACED) { $0.partition = UInt32(partition) }
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
