import Base
import Control
import Operations
import Synchronization
import Varlink

/// A hub that is a list: what stands behind the service is not what is tested.
final class MemoryBackend: ControlBackend {
    /// What was asked of it that changes something, in order.
    let deeds = Mutex<[String]>([])
    private let connections: Mutex<[ConnectionRow]>

    private let events: [Event]
    private let channelRows: [ChannelRow]?

    /// - Parameters:
    ///   - worker: the worker in the ids of its connections.
    ///   - userAgentByteCount: the least size of what a client calls itself.
    ///   - events: what `Why` and `Monitor` tell.
    ///   - channels: the channels by name; nil for one that says what was asked for.
    init(
        count: Int, worker: Int = 0, userAgentByteCount: Int = 0, events: [Event] = MemoryBackend.events,
        channels: [ChannelRow]? = nil
    ) {
        self.events = events
        channelRows = channels
        connections = Mutex(
            (0..<count).map { number in
                ConnectionRow(
                    id: Self.id(number, worker), address: IPAddress(v4: 0xC000_0200 + UInt32(number % 250)),
                    port: 1024 + number, endpoint: "/ws",
                    protocol: "relay", channels: number.isMultiple(of: 2) ? ["even"] : ["odd"],
                    userAgent: "test/\(number)" + String(repeating: "x", count: userAgentByteCount),
                    connectedSince: Timestamp(millisecondsSinceEpoch: 0), idleSeconds: 0.5,
                    messagesIn: number, messagesOut: 2, bytesIn: 3, bytesOut: 4, queuedBytes: 5, droppedMessages: 6,
                    state: .open)
            })
    }

    /// The id of a connection of the list.
    static func id(_ number: Int, _ worker: Int = 0) -> ConnectionID {
        ConnectionID(worker: worker, slot: number, number: 1)
    }

    func status() async -> HubStatus {
        HubStatus(
            pid: 1, state: .running, startedAt: "2026-11-23T20:57:32.015Z", uptimeSeconds: 1.5,
            connections: connections.withLock(\.count), maxConnections: 10, connectionsPerWorker: [1], accepted: 1,
            refused: ["limit": 2], closed: [:], messagesIn: 3, messagesOut: 4, bytesIn: 5, bytesOut: 6, queuedBytes: 7,
            slowConsumers: 8, listeners: ["[::]:8080"], configurationFiles: [])
    }

    func connections(
        matching selection: ConnectionSelection, after cursor: String?, limit: Int
    ) async throws(ControlError) -> ConnectionPage {
        guard let start = cursor.map({ Int($0) }) ?? 0 else { throw .invalidParameter("after") }
        return connections.withLock { connections in
            var page: [ConnectionRow] = []
            var index = start
            // As a hub does that looks at so many slots and no further: a page may be short, or empty.
            while index < connections.count, page.count < limit, index < start + 300 {
                if selection.selects(connections[index]) { page.append(connections[index]) }
                index += 1
            }
            return ConnectionPage(connections: page, next: index < connections.count ? "\(index)" : nil)
        }
    }

    func connection(id: String) async -> ConnectionRow? {
        connections.withLock { $0.first { $0.id.description == id } }
    }

    func kick(
        _ selection: ConnectionSelection, reason: CloseReason, by caller: Caller
    ) async throws(ControlError) -> Int {
        let count = connections.withLock { connections in
            let before = connections.count
            connections.removeAll { selection.selects($0) }
            return before - connections.count
        }
        note("kick \(count) \(reason.code) \(reason.text) by \(process(caller))")
        return count
    }

    func broadcast(
        _ message: BroadcastMessage, channel: String?, user: String?, by caller: Caller
    ) async throws(ControlError) -> PublishResult {
        guard message.payload.count <= 100 else {
            throw .messageTooLarge(byteCount: message.payload.count, limit: 100)
        }
        note("broadcast \(message.payload) \(message.isBinary) \(channel ?? "-") \(user ?? "-") by \(process(caller))")
        return PublishResult(
            recipients: connections.withLock { $0.filter { channel.map($0.channels.contains) ?? true }.count })
    }

    func publish(_ messages: [ChannelMessage], by caller: Caller) async -> [Result<PublishResult, ControlError>] {
        messages.map { message in
            guard message.message.payload.count <= 100 else {
                return .failure(.messageTooLarge(byteCount: message.message.payload.count, limit: 100))
            }
            note("publish \(message.message.payload) \(message.channel) by \(process(caller))")
            return .success(PublishResult(recipients: 0, epoch: "epoch", seq: 7))
        }
    }

    func unsubscribe(
        _ selection: ConnectionSelection, channel: String, reason: String, by caller: Caller
    ) async throws(ControlError) -> Int {
        note("unsubscribe \(channel) \(reason) by \(process(caller))")
        return 1
    }

    /// What `Why` and `Monitor` tell.
    static let events = ["192.0.2.1", "192.0.2.2"].map { address in
        var event = Event(.refuse, millisecondsSinceEpoch: 0)
        event.address = IPAddress(address)
        return event
    }

    func endings(matching selection: ConnectionSelection?, limit: Int) async -> [Event] {
        Array(events.filter { selection?.selects($0) ?? true }.prefix(limit))
    }

    func monitor(_ body: @escaping @Sendable ([Event], _ lost: Int) async throws -> Void) async throws -> Bool {
        try await body([], 0)
        try await body(events, 0)
        try await body([Event(.reload, millisecondsSinceEpoch: 1)], 7)
        return false
    }

    func follow(
        _ channel: String, _ body: @escaping @Sendable (BroadcastMessage?, _ lost: Int) async throws -> Void
    ) async throws {
        try await body(nil, 0)
        try await body(BroadcastMessage(text: channel), 0)
        try await body(BroadcastMessage(data: [1, 2]), 3)
    }

    func set(_ values: [String: String], by caller: Caller) async throws(ControlError) -> ReloadOutcome {
        note("set \(values) by \(process(caller))")
        return ReloadOutcome(changed: Array(values.keys), needsRestart: [])
    }

    func configuration() async -> GetConfiguration.Reply {
        GetConfiguration.Reply(settings: [], differences: [], errors: ["one"])
    }

    func cpuProfile(seconds: Int, by caller: Caller) async throws(ControlError) -> [UInt8] {
        guard seconds == 1 else { throw .profileFailed("busy") }
        return [1, 2, 3]
    }

    func threadStacks(by caller: Caller) async throws(ControlError) -> String { "thread 1" }

    func heapReport() async -> String { "heap" }

    func drain(by caller: Caller) async throws(ControlError) -> DrainProgress {
        note("drain by \(process(caller))")
        return DrainProgress(
            startedAt: "2026-11-23T20:57:32.015Z", connectionsAtStart: 3, connectionsLeft: 2, secondsLeft: 1)
    }

    func planRestart() async -> PlanRestart.Reply {
        PlanRestart.Reply(kept: 2, handshakes: 1, closed: ["closing": 1])
    }

    func top(_ order: ConnectionOrder, connections count: Int, channels: Int) async -> Top.Reply {
        Top.Reply(
            status: await status(), connections: connections.withLock { Array($0.prefix(count)) },
            channels: [BusyChannel(name: order.rawValue, connections: 1, messagesPerSecond: 2.5, messages: 3)])
    }

    func channels(pattern: String?, after name: String?, limit: Int) async -> ListChannels.Reply {
        if let channelRows {
            let rest = channelRows.filter { row in name.map { Name($0) < Name(row.name) } ?? true }
            let page = Array(rest.prefix(limit))
            return ListChannels.Reply(channels: page, next: rest.count > limit ? page.last?.name : nil)
        }
        return ListChannels.Reply(
            channels: [ChannelRow(name: "\(pattern ?? "-") \(name ?? "-")", connections: limit)], next: nil)
    }

    func channel(
        _ name: String, before: Int?, limit: Int, wantsUsers: Bool
    ) async throws(ControlError) -> ChannelDetail? {
        if name == "far" { throw .unavailable("the broker sleeps") }
        guard name == "a" else { return nil }
        return ChannelDetail(name: name, epoch: "e", seq: 7, users: nil, messages: [], more: before == 1 && limit == 2)
    }

    func reload(by caller: Caller) async throws(ControlError) -> ReloadOutcome {
        note("reload by \(process(caller))")
        throw .reloadFailed(["one", "two"])
    }

    func makeToken(
        user: String, lifetime: Int, grants: [MakeToken.Grant], by caller: Caller
    ) async throws(ControlError) -> String {
        note("token for \(user), \(lifetime) s, \(grants.map { "\($0.pattern) \($0.subscribe) \($0.publish)" })")
        return "a.b.c"
    }

    private func process(_ caller: Caller) -> String {
        switch caller {
        case .process(let peer, _): "\(peer.processID)"
        case .client(let address): address
        case .consumer(let source): source
        case .node(let name, let caller): "\(name) for \(caller["peer-pid"] ?? caller[Caller.clientField] ?? "?")"
        }
    }

    private func note(_ deed: String) {
        deeds.withLock { $0.append(deed) }
    }
}
