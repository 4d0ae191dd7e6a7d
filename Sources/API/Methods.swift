internal import Base
internal import ClusterControl
internal import Control
internal import NIOHTTP1
internal import Operations

/// The methods behind the paths of the API.
struct Methods: Sendable {
    /// The maximum number of channels in a broadcast, and of commands in a batch.
    static let maximumCount = 1000
    /// The maximum number of ids of connections in a request.
    private static let maximumIDCount = 100_000

    let backend: any ControlBackend
    /// All nodes; nil if this one has no broker.
    let cluster: Cluster?

    static func json(_ value: some Encodable) -> Response { Response(.ok, "application/json", JSON.encode(value)) }

    func status() async -> Response { Self.json(await backend.status()) }

    func nodes() async throws -> Response {
        guard let cluster else { throw ControlError.noBroker }
        return Self.json(try await cluster.nodeRows())
    }

    /// All nodes, unless a request is for this one only. A backend does not care which node a user is connected to, so
    /// all are meant if nothing is said.
    func cluster(_ isWanted: Bool?) throws(ControlError) -> Cluster? {
        switch isWanted {
        case nil: return cluster
        case false?: return nil
        case true?:
            guard let cluster else { throw .noBroker }
            return cluster
        }
    }

    /// The parameter "cluster" of a query.
    static func cluster(_ text: String) throws(Problem) -> Bool {
        guard let isWanted = Bool(text) else { throw Problem(.badRequest, "cluster must be true or false") }
        return isWanted
    }

    /// The member "cluster", which may be left out but not null.
    static func cluster(_ members: JSONMembers) throws(Problem) -> Bool? {
        guard try members.present("cluster", "true or false") != nil else { return nil }
        return try members.optional("cluster", Bool.self, "true or false")
    }

    func connections(_ request: Request) async throws -> Response {
        var filter = ConnectionFilter()
        var after: String?
        var limit = List.replyLimit
        var isForAll: Bool?
        for (name, value) in request.query {
            switch name {
            case "id": filter.ids = (filter.ids ?? []) + [value]
            case "user": filter.user = value
            case "ip": filter.ip = value
            case "channel": filter.channel = value
            case "endpoint": filter.endpoint = value
            case "after": after = value
            case "limit": limit = try Self.limit(value, atMost: List.replyLimit)
            case "cluster": isForAll = try Self.cluster(value)
            default:
                throw Problem(
                    .badRequest,
                    "unknown parameter \"\(name.prefix(64))\"; there are id, user, ip, channel, endpoint, after, limit, "
                        + "cluster")
            }
        }
        if let cluster = try cluster(isForAll) {
            return Self.json(try await cluster.connections(matching: filter, after: after, limit: limit))
        }
        return Self.json(try await backend.connections(matching: filter.selection(), after: after, limit: limit))
    }

    func disconnect(_ request: Request) async throws -> Response {
        let members = try JSONMembers(
            request.body, known: Self.filterMembers.union(["channel", "cluster", "code", "reason"]))
        let reason = try CloseReason(
            code: try members.optional("code", Int.self, "a close code") ?? Kick.defaultCode,
            text: try members.string("reason", "a string") ?? Kick.defaultReason)
        let filter = try filter(members, channel: try members.choice("channel", "the name of a channel"))
        let caller = Caller.client(address: request.address)
        if let cluster = try cluster(Self.cluster(members)) {
            return Self.json(try await cluster.kick(filter, reason: reason, by: caller))
        }
        let count = try await backend.kick(filter.selection(), reason: reason, by: caller)
        return Self.json(Kick.Reply(connections: count))
    }

    func unsubscribe(_ request: Request) async throws -> Response {
        let members = try JSONMembers(request.body, known: Self.filterMembers.union(["channel", "cluster", "reason"]))
        let channel = try Self.channel(members)
        let reason = try CloseReason(
            code: Kick.defaultCode,
            text: try members.string("reason", "a string") ?? "taken out of the channel by the server")
        let filter = try filter(members, channel: nil)
        let caller = Caller.client(address: request.address)
        if let cluster = try cluster(Self.cluster(members)) {
            return Self.json(try await cluster.unsubscribe(filter, channel: channel, reason: reason.text, by: caller))
        }
        let count = try await backend.unsubscribe(
            filter.selection(), channel: channel, reason: reason.text, by: caller)
        return Self.json(Kick.Reply(connections: count))
    }

    /// A CPU profile in the form of Go's net/http/pprof.
    func profile(_ request: Request) async throws -> Response {
        var seconds = Profile.defaultSeconds
        for (name, value) in request.query {
            guard name == "seconds", let number = Int(value), (1...Profile.longestSeconds).contains(number) else {
                throw Problem(
                    .badRequest, "the only parameter is seconds, from 1 to \(Profile.longestSeconds)")
            }
            seconds = number
        }
        let profile = try await backend.cpuProfile(seconds: seconds, by: .client(address: request.address))
        return Response(
            .ok, "application/octet-stream", profile,
            fields: [("Content-Disposition", "attachment; filename=\"profile\"")])
    }

    private static let filterMembers: Set = ["ids", "user", "ip", "endpoint", "all"]

    /// The filter of connections in a body.
    private func filter(_ members: JSONMembers, channel: String?) throws -> ConnectionFilter {
        let filter = ConnectionFilter(
            ids: try members.choices("ids", "an array of ids", atMost: Self.maximumIDCount),
            ip: try members.choice("ip", "an address or a network"),
            endpoint: try members.choice("endpoint", "the path of an endpoint"),
            channel: channel,
            user: try members.choice("user", "the name of a user"),
            all: try members.all())
        guard filter.all || filter.hasCriteria else { throw ControlError.nothingSelected }
        return filter
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
