import Control
import Varlink
import VarlinkServer

/// The methods that both interfaces have, and that change nothing.
struct LookingMethods: Sendable {
    let backend: any ControlBackend

    /// Carries out a call of `interface`; nil when the method isn't one of these.
    func respond(
        to request: VarlinkRequest, of interface: String
    ) async throws -> (any Encodable & Sendable)? {
        do {
            switch request.member {
            case GetStatus.name:
                _ = try request.parameters(as: NoParameters.self)
                return GetStatus.Reply(status: await backend.status())
            case List.name:
                return try await list(request)
            case Show.name:
                let id = try request.parameters(as: Show.Parameters.self).id
                guard let connection = await backend.connection(id: id) else {
                    throw ControlError.noSuchConnection(id: id)
                }
                return Show.Reply(connection: connection)
            case ListChannels.name: return try await listChannels(request)
            case ShowChannel.name:
                let parameters = try request.parameters(as: ShowChannel.Parameters.self)
                let limit = parameters.limit ?? 0
                guard (0...ShowChannel.messageLimit).contains(limit) else {
                    throw ControlError.invalidParameter("limit")
                }
                // Everybody may open the socket for looking, and not everybody may read what others write.
                guard limit == 0 || interface == ControlInterface.control else { throw VarlinkError.permissionDenied }
                if let before = parameters.before, before < 0 { throw ControlError.invalidParameter("before") }
                guard
                    let channel = await backend.channel(
                        parameters.channel, before: parameters.before, limit: limit)
                else { throw ControlError.noSuchChannel(name: parameters.channel) }
                return ShowChannel.Reply(channel: channel)
            default:
                return nil
            }
        } catch let error as ControlError {
            throw error.varlinkError(interface: interface)
        }
    }

    private func listChannels(_ request: VarlinkRequest) async throws -> ListChannels.Reply {
        let parameters = try request.parameters(as: ListChannels.Parameters.self)
        let limit = parameters.limit ?? ListChannels.replyLimit
        guard (1...ListChannels.replyLimit).contains(limit) else { throw ControlError.invalidParameter("limit") }
        return ListChannels.Reply(
            await backend.channels(), pattern: parameters.pattern, after: parameters.after, limit: limit)
    }

    /// One page, or with `more` one after the other: the next is asked for when the peer has room for it.
    private func list(_ request: VarlinkRequest) async throws -> ConnectionPage {
        let parameters = try request.parameters(as: List.Parameters.self)
        let matcher = try ConnectionMatcher(parameters.filter ?? ConnectionFilter())
        if let limit = parameters.limit, limit < 1 || (limit > List.replyLimit && !request.wantsMore) {
            throw ControlError.invalidParameter("limit")
        }
        guard request.wantsMore else {
            return try await backend.connections(
                matching: matcher, after: parameters.after, limit: parameters.limit ?? List.replyLimit)
        }
        var left = parameters.limit ?? Int.max
        var cursor = parameters.after
        while true {
            try Task.checkCancellation()
            let page = try await backend.connections(
                matching: matcher, after: cursor, limit: min(left, List.pageLimit))
            left -= page.connections.count
            guard left > 0, let next = page.next else { return page }
            cursor = next
            // A page may be empty where a filter selects little; it would say nothing.
            if !page.connections.isEmpty { try await request.yield(page) }
        }
    }
}
