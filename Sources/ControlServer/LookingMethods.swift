import ClusterControl
import Control
import Operations
import Synchronization
import Varlink
import VarlinkServer

/// The methods that change nothing, but identify clients.
struct LookingMethods: Sendable {
    let backend: any ControlBackend
    /// All nodes; nil if this one has no broker.
    let cluster: Cluster?

    /// The names of the methods.
    static let names: Set<String> = [
        List.name, Show.name, Top.name, Why.name, Monitor.name, ListChannels.name, ShowChannel.name,
        Nodes.name,
    ]

    /// Executes a call of `interface`; nil if the method isn't one of these.
    func respond(
        to request: VarlinkRequest, of interface: String
    ) async throws -> (any Encodable & Sendable)? {
        do {
            switch request.member {
            case List.name:
                return try await list(request)
            case Show.name:
                let parameters = try request.parameters(as: Show.Parameters.self)
                let id = parameters.id
                if let cluster = try cluster.wanted(parameters.cluster) { return try await cluster.connection(id: id) }
                guard let connection = await backend.connection(id: id) else {
                    throw ControlError.noSuchConnection(id: id)
                }
                return Show.Reply(connection: connection)
            case Top.name: return try await top(request)
            case Why.name: return try await why(request)
            case Monitor.name: return try await monitor(request)
            case Nodes.name:
                _ = try request.parameters(as: NoParameters.self)
                return try await cluster.wanted(true)?.nodeRows()
            case ListChannels.name: return try await listChannels(request)
            case ShowChannel.name:
                let parameters = try request.parameters(as: ShowChannel.Parameters.self)
                let limit = parameters.limit ?? 0
                guard (0...ShowChannel.messageLimit).contains(limit) else {
                    throw ControlError.invalidParameter("limit")
                }
                if let before = parameters.before, before < 0 { throw ControlError.invalidParameter("before") }
                guard
                    let channel = try await backend.channel(
                        parameters.channel, before: parameters.before, limit: limit, wantsUsers: true)
                else { throw ControlError.noSuchChannel(name: parameters.channel) }
                return ShowChannel.Reply(channel: channel)
            default:
                return nil
            }
        } catch let error as ControlError {
            throw error.varlinkError(interface: interface)
        }
    }

    private func top(_ request: VarlinkRequest) async throws -> Top.Reply {
        let parameters = try request.parameters(as: Top.Parameters.self)
        guard let order = ConnectionOrder(rawValue: parameters.order ?? ConnectionOrder.queuedBytes.rawValue) else {
            throw ControlError.invalidParameter("order")
        }
        let (connections, channels) = (parameters.connections ?? 10, parameters.channels ?? 10)
        guard (0...Top.limit).contains(connections) else { throw ControlError.invalidParameter("connections") }
        guard (0...Top.limit).contains(channels) else { throw ControlError.invalidParameter("channels") }
        return await backend.top(order, connections: connections, channels: channels)
    }

    private func why(_ request: VarlinkRequest) async throws -> Why.Reply {
        let parameters = try request.parameters(as: Why.Parameters.self)
        let limit = parameters.limit ?? Why.replyLimit
        guard (1...Why.replyLimit).contains(limit) else { throw ControlError.invalidParameter("limit") }
        let selection = try selection(parameters.filter)
        if let cluster = try cluster.wanted(parameters.cluster) {
            return try await cluster.endings(matching: parameters.filter, limit: limit)
        }
        return Why.Reply(events: await backend.endings(matching: selection, limit: limit))
    }

    /// The selection of a filter; nil if the filter selects everything.
    private func selection(_ filter: ConnectionFilter?) throws -> ConnectionSelection? {
        guard let filter, filter.hasCriteria else { return nil }
        return try filter.selection()
    }

    private func monitor(_ request: VarlinkRequest) async throws -> Monitor.Reply {
        let parameters = try request.parameters(as: Monitor.Parameters.self)
        let selection = try selection(parameters.filter)
        let kinds = try parameters.kinds?.map { name in
            guard let kind = Event.Kind(rawValue: name) else { throw ControlError.invalidParameter("kinds") }
            return kind
        }
        guard request.wantsMore else { throw VarlinkError.expectedMore }
        let told = Atomic(0)
        let restarts = try await backend.monitor { events, lost in
            let meant = events.filter { event in
                (kinds?.contains(event.kind) ?? true) && (selection?.selects(event) ?? true)
            }
            // A reply is also sent without events: the first one, and when the caller has to learn that events are
            // missing.
            guard !meant.isEmpty || events.isEmpty || lost > told.load(ordering: .relaxed) else { return }
            told.store(lost, ordering: .relaxed)
            try await request.yield(Monitor.Reply(events: meant, lost: lost))
        }
        return Monitor.Reply(events: [], lost: told.load(ordering: .relaxed), restarts: restarts)
    }

    private func listChannels(_ request: VarlinkRequest) async throws -> ListChannels.Reply {
        let parameters = try request.parameters(as: ListChannels.Parameters.self)
        let limit = parameters.limit ?? ListChannels.replyLimit
        guard (1...ListChannels.replyLimit).contains(limit) else { throw ControlError.invalidParameter("limit") }
        if let cluster = try cluster.wanted(parameters.cluster) {
            return try await cluster.channels(pattern: parameters.pattern, after: parameters.after, limit: limit)
        }
        return await backend.channels(pattern: parameters.pattern, after: parameters.after, limit: limit)
    }

    /// Returns one page or, with `more`, one page after the other: the next is requested when the peer has room for it.
    private func list(_ request: VarlinkRequest) async throws -> ConnectionPage {
        let parameters = try request.parameters(as: List.Parameters.self)
        let selection = try (parameters.filter ?? ConnectionFilter()).selection()
        if let limit = parameters.limit, limit < 1 || (limit > List.replyLimit && !request.wantsMore) {
            throw ControlError.invalidParameter("limit")
        }
        let cluster = try cluster.wanted(parameters.cluster)
        func page(after cursor: String?, limit: Int) async throws -> ConnectionPage {
            if let cluster {
                let filter = parameters.filter ?? ConnectionFilter()
                return try await cluster.connections(matching: filter, after: cursor, limit: limit)
            }
            return try await backend.connections(matching: selection, after: cursor, limit: limit)
        }
        guard request.wantsMore else {
            return try await page(after: parameters.after, limit: parameters.limit ?? List.replyLimit)
        }
        var left = parameters.limit ?? Int.max
        var cursor = parameters.after
        while true {
            try Task.checkCancellation()
            let page = try await page(after: cursor, limit: min(left, List.pageLimit))
            left -= page.connections.count
            guard left > 0, let next = page.next else { return page }
            cursor = next
            // A page may be empty if a filter selects few connections; it is not sent unless it names silent nodes.
            if !page.connections.isEmpty || page.silent?.isEmpty == false { try await request.yield(page) }
        }
    }
}
