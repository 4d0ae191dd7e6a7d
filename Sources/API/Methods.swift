internal import Base
internal import Control
internal import NIOHTTP1
internal import Operations

/// The methods behind the paths of the API.
struct Methods: Sendable {
    /// The maximum number of channels in a broadcast, and of commands in a batch.
    static let maximumCount = 1000

    let backend: any ControlBackend

    static func json(_ value: some Encodable) -> Answer { Answer(.ok, "application/json", JSON.encode(value)) }

    private struct Selected: Encodable { var connections: Int }

    func status() async -> Answer { Self.json(await backend.status()) }

    func connections(_ request: Request) async throws -> Answer {
        var filter = ConnectionFilter()
        var after: String?
        var limit = List.replyLimit
        for (name, value) in request.query {
            switch name {
            case "id": filter.ids = (filter.ids ?? []) + [value]
            case "user": filter.user = value
            case "ip": filter.ip = value
            case "channel": filter.channel = value
            case "endpoint": filter.endpoint = value
            case "after": after = value
            case "limit": limit = try Self.limit(value, atMost: List.replyLimit)
            default:
                throw Problem(
                    .badRequest,
                    "unknown parameter \"\(name.prefix(64))\"; there are id, user, ip, channel, endpoint, after, limit")
            }
        }
        return Self.json(try await backend.connections(matching: filter.selection(), after: after, limit: limit))
    }

    func disconnect(_ request: Request) async throws -> Answer {
        let members = try JSONMembers(request.body, known: Self.filterMembers.union(["channel", "code", "reason"]))
        let reason = try CloseReason(
            code: try members.optional("code", Int.self, "a close code") ?? Kick.defaultCode,
            text: try members.string("reason", "a string") ?? Kick.defaultReason)
        let count = try await backend.kick(
            try selection(members, channel: try members.choice("channel", "the name of a channel")), reason: reason,
            by: .client(address: request.address))
        return Self.json(Selected(connections: count))
    }

    func unsubscribe(_ request: Request) async throws -> Answer {
        let members = try JSONMembers(request.body, known: Self.filterMembers.union(["channel", "reason"]))
        let channel = try Self.channel(members)
        let reason = try CloseReason(
            code: Kick.defaultCode,
            text: try members.string("reason", "a string") ?? "taken out of the channel by the server")
        let count = try await backend.unsubscribe(
            try selection(members, channel: nil), channel: channel, reason: reason.text,
            by: .client(address: request.address))
        return Self.json(Selected(connections: count))
    }

    /// A CPU profile in the form of Go's net/http/pprof.
    func profile(_ request: Request) async throws -> Answer {
        var seconds = Profile.defaultSeconds
        for (name, value) in request.query {
            guard name == "seconds", let number = Int(value), (1...Profile.longestSeconds).contains(number) else {
                throw Problem(
                    .badRequest, "the only parameter is seconds, from 1 to \(Profile.longestSeconds)")
            }
            seconds = number
        }
        let profile = try await backend.cpuProfile(seconds: seconds, by: .client(address: request.address))
        return Answer(
            .ok, "application/octet-stream", profile,
            fields: [("Content-Disposition", "attachment; filename=\"profile\"")])
    }

    private static let filterMembers: Set = ["ids", "user", "ip", "endpoint", "all"]

    /// The selection of connections in a body.
    private func selection(_ members: JSONMembers, channel: String?) throws -> ConnectionSelection {
        let filter = ConnectionFilter(
            ids: try members.choices("ids", "an array of ids"),
            ip: try members.choice("ip", "an address or a network"),
            endpoint: try members.choice("endpoint", "the path of an endpoint"),
            channel: channel,
            user: try members.choice("user", "the name of a user"),
            all: try members.all())
        guard filter.all || filter.hasCriteria else { throw ControlError.nothingSelected }
        return try filter.selection()
    }

    /// The member "channel".
    static func channel(_ members: JSONMembers) throws(Problem) -> String {
        guard let name = try members.string("channel", "the name of a channel") else {
            throw Problem(.badRequest, "\"channel\" is missing; it must be the name of a channel")
        }
        return try checked(name)
    }

    /// The requested length of a list.
    static func limit(_ text: String, atMost most: Int) throws(Problem) -> Int {
        guard let number = Int(text), (1...most).contains(number) else {
            throw Problem(.badRequest, "limit must be 1 to \(most)")
        }
        return number
    }

    static func checked(_ channel: String) throws(Problem) -> String {
        do throws(ControlError) { try ChannelName.check(channel) } catch { throw Problem(error) }
        return channel
    }
}
