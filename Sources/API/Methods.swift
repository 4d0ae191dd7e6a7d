internal import Control
internal import NIOHTTP1
internal import Rooms

/// What stands behind the paths of the API.
struct Methods: Sendable {
    /// The most channels of a broadcast, and the most commands of a batch.
    static let maximumCount = 1000

    let backend: any ControlBackend

    static func json(_ value: some Encodable) -> Answer { Answer(.ok, "application/json", JSON.encode(value)) }

    private struct Recipients: Encodable { var recipients: Int }
    private struct Closing: Encodable { var connections: Int }
    private struct Replies: Encodable { var replies: [Reply] }

    /// What became of one command of a batch.
    private struct Reply: Encodable {
        var recipients: Int?
        var error: String?
    }

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
        return Self.json(try await backend.connections(matching: ConnectionMatcher(filter), after: after, limit: limit))
    }

    func publish(_ request: Request) async throws -> Answer {
        Self.json(Recipients(recipients: try await publish(request.body, by: request)))
    }

    private func publish(_ body: [UInt8], by request: Request) async throws -> Int {
        let members = try JSONMembers(body, known: ["channel", "data", "text", "user"])
        let channel = try members.required("channel", String.self, "the name of a channel")
        let user = try members.optional("user", String.self, "the name of a user")
        return try await backend.broadcast(
            try message(members), channel: try Self.checked(channel), user: user, by: .client(address: request.address))
    }

    func broadcast(_ request: Request) async throws -> Answer {
        Self.json(Recipients(recipients: try await broadcast(request.body, by: request)))
    }

    private func broadcast(_ body: [UInt8], by request: Request) async throws -> Int {
        let members = try JSONMembers(body, known: ["channels", "data", "text"])
        let message = try message(members)
        let caller = Caller.client(address: request.address)
        guard let channels = try members.optional("channels", [String].self, "an array of names of channels") else {
            return try await backend.broadcast(message, channel: nil, user: nil, by: caller)
        }
        guard channels.count <= Self.maximumCount else {
            throw Problem(.badRequest, "\(channels.count) channels; there may be \(Self.maximumCount)")
        }
        for channel in channels { _ = try Self.checked(channel) }
        var count = 0
        for channel in channels {
            count += try await backend.broadcast(message, channel: channel, user: nil, by: caller)
        }
        return count
    }

    func batch(_ request: Request) async throws -> Answer {
        let members = try JSONMembers(request.body, known: ["commands"])
        guard let text = members.text("commands"), let commands = MemberReader.elements(of: text) else {
            throw Problem(.badRequest, "\"commands\" must be an array of {\"publish\": …} and {\"broadcast\": …}")
        }
        guard commands.count <= Self.maximumCount else {
            throw Problem(.badRequest, "\(commands.count) commands; there may be \(Self.maximumCount)")
        }
        var replies: [Reply] = []
        for command in commands {
            do {
                let command = try JSONMembers(command, known: ["publish", "broadcast"])
                switch (command.text("publish"), command.text("broadcast")) {
                case (let body?, nil): replies.append(Reply(recipients: try await publish(body, by: request)))
                case (nil, let body?): replies.append(Reply(recipients: try await broadcast(body, by: request)))
                default: throw Problem(.badRequest, "a command is either \"publish\" or \"broadcast\"")
                }
            } catch let problem as Problem {
                replies.append(Reply(error: problem.detail))
            } catch let error as ControlError {
                replies.append(Reply(error: Problem(error).detail))
            }
        }
        return Self.json(Replies(replies: replies))
    }

    func disconnect(_ request: Request) async throws -> Answer {
        let members = try JSONMembers(
            request.body, known: ["ids", "user", "ip", "channel", "endpoint", "all", "code", "reason"])
        let filter = ConnectionFilter(
            ids: try members.optional("ids", [String].self, "an array of ids"),
            ip: try members.optional("ip", String.self, "an address or a network"),
            endpoint: try members.optional("endpoint", String.self, "the path of an endpoint"),
            channel: try members.optional("channel", String.self, "the name of a channel"),
            user: try members.optional("user", String.self, "the name of a user"),
            all: try members.optional("all", Bool.self, "true or false") ?? false)
        guard filter.all || filter.hasCriteria else { throw ControlError.nothingSelected }
        let reason = try CloseReason(
            code: try members.optional("code", Int.self, "a close code") ?? Kick.defaultCode,
            text: try members.optional("reason", String.self, "a string") ?? Kick.defaultReason)
        let count = try await backend.kick(
            ConnectionMatcher(filter), reason: reason, by: .client(address: request.address))
        return Self.json(Closing(connections: count))
    }

    private func message(_ members: JSONMembers) throws(Problem) -> BroadcastMessage {
        let text = try members.optional("text", String.self, "a string")
        switch (text, members.text("data")) {
        case (let text?, nil): return BroadcastMessage(text: text)
        case (nil, let data?): return BroadcastMessage(text: String(decoding: data, as: UTF8.self))
        case (nil, nil): throw Problem(.badRequest, "\"data\", any JSON value, or \"text\" is missing")
        case (_?, _?): throw Problem(.badRequest, "either \"data\" or \"text\", not both")
        }
    }

    /// How many of a list are asked for.
    static func limit(_ text: String, atMost most: Int) throws(Problem) -> Int {
        guard let number = Int(text), (1...most).contains(number) else {
            throw Problem(.badRequest, "limit must be 1 to \(most)")
        }
        return number
    }

    static func checked(_ channel: String) throws(Problem) -> String {
        guard (1...255).contains(channel.utf8.count),
            !channel.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) })
        else { throw Problem(.badRequest, "a channel's name has 1 to 255 bytes and no control characters") }
        return channel
    }
}
