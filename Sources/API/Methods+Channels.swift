internal import ClusterControl
internal import Control
internal import NIOHTTP1
internal import Operations

/// The methods that read channels.
extension Methods {
    private struct Presence: Encodable {
        var channel: String
        var users: [ChannelUser]
    }

    private struct History: Encodable {
        var channel: String
        var epoch: String?
        var seq: Int
        var more: Bool
    }

    func channels(_ request: Request) async throws -> Response {
        var pattern: String?
        var after: String?
        var limit = ListChannels.replyLimit
        var isForAll: Bool?
        for (name, value) in request.query {
            switch name {
            case "pattern": pattern = value
            case "after": after = value
            case "limit": limit = try Self.limit(value, atMost: ListChannels.replyLimit)
            case "cluster": isForAll = try Self.cluster(value)
            default:
                throw Problem(
                    .badRequest, "unknown parameter \"\(name.prefix(64))\"; there are pattern, after, limit, cluster")
            }
        }
        if let cluster = try cluster(isForAll) {
            return Self.json(try await cluster.channels(pattern: pattern, after: after, limit: limit))
        }
        return Self.json(await backend.channels(pattern: pattern, after: after, limit: limit))
    }

    func presence(_ request: Request) async throws -> Response {
        let members = try JSONMembers(request.body, known: ["channel"])
        let name = try Self.channel(members)
        guard let channel = try await backend.channel(name, before: nil, limit: 0, wantsUsers: true) else {
            throw ControlError.noSuchChannel(name: name)
        }
        guard let users = channel.users else {
            throw Problem(.conflict, "\"\(name)\" has no presence; set it in [channels.\"PATTERN\"]")
        }
        return Self.json(Presence(channel: name, users: users))
    }

    func history(_ request: Request) async throws -> Response {
        let members = try JSONMembers(request.body, known: ["channel", "before", "limit"])
        let name = try Self.channel(members)
        let limit = try members.optional("limit", Int.self, "a number") ?? 50
        let before = try members.optional("before", Int.self, "a number")
        guard (1...ShowChannel.messageLimit).contains(limit), before ?? 0 >= 0 else {
            throw Problem(.badRequest, "\"limit\" must be 1 to \(ShowChannel.messageLimit), and \"before\" not below 0")
        }
        guard let channel = try await backend.channel(name, before: before, limit: limit, wantsUsers: false) else {
            throw ControlError.noSuchChannel(name: name)
        }
        guard channel.messages != nil else {
            throw Problem(.conflict, "\"\(name)\" has no history; set it in [channels.\"PATTERN\"]")
        }
        let rest = History(channel: name, epoch: channel.epoch, seq: channel.seq, more: channel.more)
        return Response(.ok, "application/json", JSON.encode(rest, adding: "messages", channel.rawMessages))
    }
}
