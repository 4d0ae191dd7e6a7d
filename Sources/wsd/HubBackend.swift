import Authentication
import Base
import Channels
import ClusterControl
import Control
import Engine
import Glibc
import Logging
import Operations
import Systemd
import Varlink
import WebSocket

/// Answers the calls of the control sockets with the hub's data.
struct HubBackend: ControlBackend {
    let hub: Hub
    let lifecycle: Lifecycle
    let reloader: Reloader
    let feed: EventFeed
    let notifier: Notifier
    let tokens: Tokens
    /// Nil if the node is alone.
    let broker: NodeBroker?
    let facts: Facts
    /// All nodes; nil if this one has no broker.
    var cluster: Cluster?
    /// Nil until they are made.
    var consumers: Consumers?
    let logger: Logger
    /// Logs what an administrator does, whatever `log.level` says.
    let audit: Logger
    let scans = Scans()

    /// Facts that don't change while the daemon runs.
    struct Facts: Sendable {
        var startedAt: Int64
        var listeners: [String]
    }

    func status() async -> HubStatus {
        let workers = await hub.statistics()
        let total = Statistics(total: workers)
        let drain = await lifecycle.progress(connectionsLeft: total.connections)
        var status = HubStatus(
            pid: Int(getpid()),
            state: drain == nil ? .running : .draining,
            notReady: await Health(hub, lifecycle, broker, workers: workers).whyNotReady,
            startedAt: RFC3339.string(millisecondsSinceEpoch: facts.startedAt),
            uptimeSeconds: Double(Clock.milliseconds() - facts.startedAt) / 1_000,
            connections: total.connections,
            maxConnections: hub.maximumConnections,
            connectionsPerWorker: workers.map(\.connections),
            accepted: Int(clamping: total.opened),
            refused: Dictionary(
                uniqueKeysWithValues: RefusalCause.allCases.map { ($0.label, Int(total.refused[Int($0.rawValue)])) }
                    .filter { $0.1 > 0 }),
            closed: Dictionary(
                uniqueKeysWithValues: CloseCause.allCases.map { ($0.label, Int(total.closed[Int($0.rawValue)])) }
                    .filter { $0.1 > 0 }),
            messagesIn: Int(clamping: total.messagesIn),
            messagesOut: Int(clamping: total.messagesOut),
            bytesIn: Int(clamping: total.bytesIn),
            bytesOut: Int(clamping: total.bytesOut),
            queuedBytes: total.queuedBytes,
            slowConsumers: total.slowConsumers,
            memory: MemoryStatus(total.memory),
            listeners: facts.listeners,
            configurationFiles: await reloader.files,
            pendingRestart: await reloader.pendingRestart,
            unusedKeys: await reloader.unusedKeys,
            notices: await reloader.notices,
            consumers: consumers?.status,
            lastRestart: hub.adopted.map { RestartReport($0) },
            drain: drain
        )
        status.certificates = await reloader.tls?.status
        status.recovered = hub.recovered.map { RecoveryReport($0) }
        return status
    }

    func connections(
        matching selection: ConnectionSelection, after cursor: String?, limit: Int
    ) async throws(ControlError) -> ConnectionPage {
        var position: Hub.Cursor?
        if let cursor {
            let parts = cursor.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, let worker = Int(parts[0]), let slot = UInt32(parts[1]), worker >= 0 else {
                throw .invalidParameter("after")
            }
            position = Hub.Cursor(worker: worker, slot: slot)
        }
        let start = position
        let (found, next) = await scans.run {
            await hub.connections(selection, after: start, limit: limit)
        }
        return ConnectionPage(
            connections: found, next: next.map { "\($0.worker).\($0.slot)" })
    }

    func connection(id: String) async -> ConnectionRow? {
        guard let id = ConnectionID(id) else { return nil }
        let found = await hub.connections(ConnectionSelection(ids: [id]), after: nil, limit: 1).connections
        return found.first
    }

    func top(_ order: ConnectionOrder, connections: Int, channels: Int) async -> Top.Reply {
        let (first, busiest) = await scans.run {
            await hub.top(order, connections: connections, channels: channels)
        }
        return Top.Reply(status: await status(), connections: first, channels: busiest)
    }

    func channels(pattern: String?, after name: String?, limit: Int) async -> ListChannels.Reply {
        let pattern = pattern.map { ChannelPattern($0) }
        let (found, hasMore) = await scans.run {
            await hub.channelCounts(after: name, limit: limit) { pattern?.matches($0) ?? true }
        }
        return ListChannels.Reply(
            channels: found, next: hasMore ? found.last?.name : nil)
    }

    func channel(
        _ name: String, before: Int?, limit: Int, wantsUsers: Bool
    ) async throws(ControlError) -> ChannelDetail? {
        let channel: ChannelSnapshot?
        do throws(BrokerUnavailable) {
            channel = try await hub.channel(
                name, before: before.map { UInt64(clamping: $0) }, limit: limit, wantsUsers: wantsUsers)
        } catch { throw .unavailable(broker?.problem ?? error.reason) }
        guard let channel else { return nil }
        return ChannelDetail(
            name: name, epoch: channel.epoch.isEmpty ? nil : channel.epoch, seq: Int(clamping: channel.seq),
            users: channel.hasPresence && wantsUsers ? channel.users : nil,
            messages: channel.hasHistory
                ? channel.messages.map { message in
                    // JSON that is no Varlink value here, such as 1e999, is shown as its text.
                    (try? VarlinkJSON.decode(VarlinkValue.self, from: message))
                        ?? .string(String(decoding: message, as: UTF8.self))
                } : nil,
            more: channel.hasMore, rawMessages: channel.messages)
    }

    func kick(
        _ selection: ConnectionSelection, reason: CloseReason, by caller: Caller
    ) async throws(ControlError) -> Int {
        let code = CloseCode(rawValue: reason.code)
        let count: Int
        do throws(HubParked) {
            count = try await scans.run { () throws(HubParked) in
                try await hub.kick(selection, code: code, reason: reason.text)
            }
        } catch { throw .unavailable(error.reason) }
        audit.notice(
            "kicked \(count) connections: \(reason.text)",
            metadata: metadata(caller).merging(["code": "\(code)", "selection": "\(selection)"]) { $1 })
        return count
    }

    func drain(by caller: Caller) async throws(ControlError) -> DrainProgress {
        audit.notice("asked to drain", metadata: metadata(caller))
        return await lifecycle.beginDrain(connections: hub.connectionCount)
    }

    func planRestart() async -> PlanRestart.Reply {
        let outlook = await hub.parkingOutlook()
        let errors = await reloader.startErrors()
        var plan = PlanRestart.Reply(
            obstacle: Parking.obstacle(notifier), kept: outlook.keptCount, handshakes: outlook.handshakeCount,
            closed: [:], errors: errors.isEmpty ? nil : errors)
        guard plan.obstacle == nil else {
            plan.closed = ["because nothing can be kept": hub.connectionCount]
            plan.kept = 0
            plan.handshakes = 0
            return plan
        }
        if outlook.endingCount > 0 { plan.closed["their end has begun"] = outlook.endingCount }
        if outlook.secureHandshakeCount > 0 {
            plan.closed["their handshake of TLS is in progress"] = outlook.secureHandshakeCount
        }
        if outlook.waitingCount > 0 { plan.closed["unless what they wait for comes in time"] = outlook.waitingCount }
        return plan
    }

    func reload(by caller: Caller) async throws(ControlError) -> ReloadOutcome {
        audit.notice("asked to reload", metadata: metadata(caller))
        return try await reloader.reload(StatusReport(backend: self, notifier: notifier))
    }

    func set(_ values: [String: String], by caller: Caller) async throws(ControlError) -> ReloadOutcome {
        let text = values.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: ", ")
        audit.notice("asked to set \(text)", metadata: metadata(caller))
        return try await reloader.set(values)
    }

    func configuration() async -> GetConfiguration.Reply { await reloader.configuration() }

    func makeToken(
        user: String, lifetime: Int, grants: [MakeToken.Grant], by caller: Caller
    ) async throws(ControlError) -> String {
        let grants = grants.map {
            Grant(pattern: ChannelPattern($0.pattern), subscribe: $0.subscribe, publish: $0.publish)
        }
        guard let token = try? await tokens.maker?.token(user: user, lifetime: lifetime, grants: grants) else {
            throw .noSigningKey
        }
        audit.notice("made a token for \(lifetime) s", metadata: metadata(caller).merging(["user": "\(user)"]) { $1 })
        return token
    }

    func fields(of caller: Caller) -> [String: String] {
        var fields = caller.fields
        // The unit's sandbox hides processes and users from the daemon; then the log has what the client says of itself.
        if case .process(let peer, let claim) = caller {
            fields["peer-command"] = ProcessFile.command(of: peer.processID) ?? claim?.command ?? "?"
        }
        return fields
    }

    func metadata(_ caller: Caller) -> Logger.Metadata { fields(of: caller).mapValues { "\($0)" } }
}

extension MemoryStatus {
    fileprivate init(_ memory: MemoryFigures) {
        self.init(
            limit: memory.limit, used: memory.used, input: memory.input, mailboxes: memory.mailboxes,
            backlogs: memory.backlogs, history: memory.history)
    }
}
