import Broker
import BrokerSupport
import CBrokerPlugin
import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import LogBroker

/// What a plugin may tell of a source, by one that tells what a test wants.
@Suite(.blocking) struct PluginSourceTests {
    @Test("A broker that was away for a moment takes no partition, and reading goes on")
    func moment() async throws {
        let fake = FakeSource()
        let source = fake.source()
        fake.tell(.granted(0), .up, .record(0, 1))
        #expect(await source.next()?.records.map(\.id) == ["0:1"])
        source.settle([SettledRecord(id: "0:1")])
        fake.tell(.down("it is away"))
        try await fake.hasState(source) { $0 == .down(reason: "it is away") }
        fake.tell(.up, .record(0, 2))
        #expect(await source.next()?.records.map(\.id) == ["0:2"])
        #expect(source.state.phase == .reading)
        await fake.end(source)
    }

    @Test("Of several partitions one goes to another node: the records of the rest are published, and come again")
    func share() async throws {
        let fake = FakeSource()
        let source = fake.source()
        fake.tell(.up, .granted(0), .granted(1), .record(0, 1), .record(1, 1))
        let batch = try #require(await source.next())
        #expect(batch.records.map(\.id) == ["0:1", "1:1"] && source.isCurrent(batch.term))
        fake.tell(.record(0, 2), .record(1, 2), .revoked(0))
        // What was given out of it is no longer this node's to publish.
        try await fake.wait { !source.isCurrent(batch.term) }
        #expect(source.state.phase == .reading)
        // Settling does not pass over what is the other node's.
        source.settle([SettledRecord(id: "0:1")])
        async let next = source.next()
        try await fake.wait { fake.rewindCount == 1 }
        fake.tell(.record(1, 1), .record(1, 2))
        let again = try #require(await next)
        #expect(again.records.map(\.id) == ["1:1", "1:2"] && source.isCurrent(again.term))
        #expect(fake.settled.isEmpty)
        fake.tell(.revoked(1))
        try await fake.hasState(source) { $0 == .standby(reader: "another node") }
        #expect(!source.isCurrent(again.term))
        await fake.end(source)
    }

    @Test("Events are taken while records wait to be published")
    func events() async throws {
        let fake = FakeSource()
        let source = fake.source()
        fake.tell([.up, .granted(0)] + (0..<3_000).map { .record(0, $0) })
        let batch = try #require(await source.next())
        fake.tell(.revoked(0))
        try await fake.wait { !source.isCurrent(batch.term) }
        await fake.end(source)
    }

    @Test("About a megabyte is given out at once, and a record at least")
    func bytes() async throws {
        let fake = FakeSource()
        let source = fake.source()
        let sizes = [400_000, 400_000, 400_000, 3_000_000, 1]
        fake.tell([.up, .granted(0)] + sizes.enumerated().map { .record(0, UInt64($0), byteCount: $1) })
        var counts: [Int] = []
        while counts.reduce(0, +) < 5, let batch = await source.next() {
            counts.append(batch.records.count)
            source.settle(batch.records.map { SettledRecord(id: $0.id) })
        }
        #expect(counts == [2, 1, 1, 1])
        await fake.end(source)
    }

    @Test("A partition that begins anew: what was given out of it is void, and what has its places is other records")
    func anew() async throws {
        let fake = FakeSource()
        let source = fake.source()
        fake.tell(.up, .granted(0), .granted(1), .record(0, 1), .record(0, 2), .record(1, 7))
        let batch = try #require(await source.next())
        #expect(batch.records.map(\.id) == ["0:1", "0:2", "1:7"])
        fake.tell(.record(0, 3), .lost(0, "it is another one"), .record(0, 1))
        try await fake.wait { !source.isCurrent(batch.term) }
        #expect(source.state.phase == .reading)
        source.settle([SettledRecord(id: "0:1"), SettledRecord(id: "1:7")])
        let again = try #require(await source.next())
        #expect(again.records.map(\.id) == ["0:1"] && source.isCurrent(again.term))
        #expect(fake.settled == ["1:7"])
        await fake.end(source)
    }

    @Test("A source that the plugin can't open is opened later, and whoever waits for records goes on waiting")
    func opening() async throws {
        let fake = FakeSource()
        fake.refuseOpens(1)
        let source = fake.source()
        async let next = source.next()
        try await fake.hasState(source) { $0 == .down(reason: "no") }
        try await fake.wait { fake.isOpen }
        fake.tell(.up, .granted(0), .record(0, 1))
        #expect(await next?.records.map(\.id) == ["0:1"])
        await fake.end(source)
    }

    @Test("A header that is called like the key or the value takes the place of neither")
    func headers() async throws {
        let fake = FakeSource()
        let source = fake.source()
        fake.tell(.up, .granted(0), .record(0, 1, headers: ["key": "k", "data": "d", "other": "o"]))
        guard case .fields(let fields)? = await source.next()?.records.first?.content else {
            throw NotSeen("a record with fields")
        }
        #expect(fields == ["key": [], "data": [0], "other": Array("o".utf8)])
        await fake.end(source)
    }

    @Test("Records that are gone are told of")
    func gone() async throws {
        let fake = FakeSource()
        let source = fake.source()
        fake.tell(.up, .granted(3), .lost(3, "it is out of range"))
        try await fake.wait { !fake.lost.isEmpty }
        #expect(fake.lost == ["partition 3 is read from its first record on: it is out of range"])
        await fake.end(source)
    }
}

/// A source in memory, and the plugin that it is read by.
private final class FakeSource: @unchecked Sendable {
    enum Event {
        case up
        case down(String)
        case granted(UInt32)
        case revoked(UInt32)
        case lost(UInt32, String)
        case record(UInt32, UInt64, byteCount: Int = 1, headers: [String: String] = [:])
    }

    private struct State {
        var events: [Event] = []
        var wake: CInt?
        var refusedOpens = 0
        var rewindCount = 0
        var settled: [String] = []
        var lost: [String] = []
        /// What the last poll has given out.
        var memory: [UnsafeMutableRawPointer] = []
    }

    private static let all = Mutex<[Int: FakeSource]>([:])
    private static let lastNumber = Atomic<Int>(0)

    private let number: Int
    /// For the state, which has pointers.
    private let lock = NSLock()
    private var state = State()
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    init() {
        number = Self.lastNumber.add(1, ordering: .relaxed).newValue
        Self.all.withLock { $0[number] = self }
    }

    var isOpen: Bool { with { $0.wake != nil } }
    var rewindCount: Int { with { $0.rewindCount } }
    var settled: [String] { with { $0.settled } }
    var lost: [String] { with { $0.lost } }

    private func with<Value>(_ body: (inout State) -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body(&state)
    }

    func refuseOpens(_ count: Int) { with { $0.refusedOpens = count } }

    /// A source that was started.
    func source() -> PluginSource {
        let source = PluginSource(
            Self.plugin, [("number", "\(number)")], limit: "a byte", on: group.next(),
            lost: { text in self.with { $0.lost.append(text) } })
        source.start()
        return source
    }

    func tell(_ events: Event...) { tell(events) }

    func tell(_ events: [Event]) {
        with { state in
            state.events += events
            if let wake = state.wake { _ = write(wake, "x", 1) }
        }
    }

    func wait(_ condition: @escaping @Sendable () -> Bool) async throws {
        try await BrokerConformance.eventually("it comes") { condition() }
    }

    func hasState(
        _ source: PluginSource, _ condition: @escaping @Sendable (SourceState.Phase) -> Bool
    ) async throws {
        try await wait { condition(source.state.phase) }
    }

    func end(_ source: PluginSource) async {
        await source.stop()
        try? await group.shutdownGracefully()
        _ = Self.all.withLock { $0.removeValue(forKey: number) }
    }

    // MARK: What the plugin does

    private static func with<Value>(_ handle: OpaquePointer?, _ body: (inout State) -> Value) -> Value? {
        let source = all.withLock { $0[Int(bitPattern: handle)] }
        return source.map { source in source.with(body) }
    }

    private static let plugin: LogPlugin = {
        var table = wsd_plugin()
        table.abi = UInt32(WSD_PLUGIN_ABI)
        table.source_open = { options, _, wake, error, size in
            let number = options?.pointee.value.flatMap { Int(String(cString: $0)) } ?? 0
            let handle = OpaquePointer(bitPattern: number)
            let isOpen = FakeSource.with(handle) { state in
                if state.refusedOpens == 0 { state.wake = wake } else { state.refusedOpens -= 1 }
                return state.wake != nil
            }
            guard isOpen ?? false else {
                if let error, size > 2 { error.update(from: [0x6E, 0x6F, 0], count: 3) }
                return nil
            }
            return handle
        }
        table.source_poll = { handle, events, limit in
            FakeSource.with(handle) { state in events.map { FakeSource.poll(&state, $0, limit) } ?? 0 } ?? 0
        }
        table.source_settle = { handle, partition, offset, _ in
            _ = FakeSource.with(handle) { $0.settled.append("\(partition):\(offset)") }
        }
        table.source_rewind = { handle in _ = FakeSource.with(handle) { $0.rewindCount += 1 } }
        table.source_lag = { _ in -1 }
        table.source_close = { handle, _ in _ = FakeSource.with(handle) { FakeSource.free(&$0) } }
        return LogPlugin(table)
    }()

    private static func free(_ state: inout State) {
        for memory in state.memory { memory.deallocate() }
        state.memory = []
    }

    private static func poll(_ state: inout State, _ events: UnsafeMutablePointer<wsd_event>, _ limit: Int) -> Int {
        free(&state)
        let given = state.events.prefix(limit)
        state.events.removeFirst(given.count)
        for (index, event) in given.enumerated() {
            events[index] = wsd_event()
            switch event {
            case .up: events[index].kind = WSD_EVENT_UP.rawValue
            case .down(let reason): name(&events[index], WSD_EVENT_DOWN, 0, reason, &state)
            case .granted(let partition): name(&events[index], WSD_EVENT_GRANTED, partition, nil, &state)
            case .revoked(let partition): name(&events[index], WSD_EVENT_REVOKED, partition, nil, &state)
            case .lost(let partition, let text): name(&events[index], WSD_EVENT_LOST, partition, text, &state)
            case .record(let partition, let offset, let byteCount, let headers):
                name(&events[index], WSD_EVENT_RECORD, partition, nil, &state)
                events[index].offset = offset
                let value = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 1)
                value.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
                state.memory.append(value)
                events[index].value = UnsafeRawPointer(value)
                events[index].value_count = byteCount
                let memory = UnsafeMutableBufferPointer<wsd_header>.allocate(capacity: headers.count)
                state.memory.append(UnsafeMutableRawPointer(memory.baseAddress!))
                for (place, header) in headers.enumerated() {
                    let value = text(header.value, &state)
                    memory[place] = wsd_header(
                        name: text(header.key, &state), value: value, value_count: header.value.utf8.count)
                }
                events[index].headers = UnsafePointer(memory.baseAddress)
                events[index].header_count = UInt32(headers.count)
            }
        }
        return given.count
    }

    private static func name(
        _ event: inout wsd_event, _ kind: wsd_event_kind, _ partition: UInt32, _ reason: String?, _ state: inout State
    ) {
        event.kind = kind.rawValue
        event.partition = partition
        event.text = reason.map { text($0, &state) }
    }

    /// A copy that ends with a NUL and lives until the next poll.
    private static func text(_ text: String, _ state: inout State) -> UnsafePointer<CChar> {
        let bytes = Array(text.utf8) + [0]
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 1)
        memory.copyMemory(from: bytes, byteCount: bytes.count)
        state.memory.append(memory)
        return UnsafePointer(memory.assumingMemoryBound(to: CChar.self))
    }
}
