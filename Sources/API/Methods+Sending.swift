internal import ClusterControl
internal import Control
internal import NIOHTTP1

/// The methods that send messages to clients.
extension Methods {
    /// The messages that a request, or a command of a batch, sends.
    private enum Sending {
        /// Messages to be published in channels.
        case messages([ChannelMessage])
        /// A message to be sent to connections, whatever their channels: of all nodes, or of this one.
        case direct(BroadcastMessage, channel: String?, user: String?, cluster: Cluster?)

        /// The size of the work: the number of messages and their bytes.
        var size: (messages: Int, bytes: Int) {
            switch self {
            case .messages(let messages):
                (messages.count, messages.reduce(0) { $0 + $1.message.payload.count })
            case .direct(let message, _, _, _): (1, message.payload.count)
            }
        }
    }

    /// The maximum number of messages in one request, where those of a broadcast count once for each channel, and the
    /// maximum number of their bytes.
    private static let mostMessages = 10_000
    private static let mostBytes = 64 << 20

    private struct Replies: Encodable { var replies: [Reply] }

    /// The result of one command of a batch.
    private enum Reply: Encodable {
        case done(PublishResult)
        case refused(String)

        private enum CodingKeys: CodingKey { case error }

        func encode(to encoder: any Encoder) throws {
            switch self {
            case .done(let result): try result.encode(to: encoder)
            case .refused(let error):
                var container = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(error, forKey: .error)
            }
        }

        var isRefused: Bool {
            guard case .refused = self else { return false }
            return true
        }
    }

    func publish(_ request: Request) async throws -> Response {
        Self.json(try await send([publishing(request.body)], by: request)[0].get())
    }

    func broadcast(_ request: Request) async throws -> Response {
        let sending = try broadcasting(request.body)
        try Self.checkSize([sending])
        return Self.json(try await send([sending], by: request)[0].get())
    }

    func batch(_ request: Request) async throws -> Response {
        let members = try JSONMembers(request.body, known: ["commands"])
        let commands = try members.elements(
            "commands", "an array of {\"publish\": …} and {\"broadcast\": …}", atMost: Self.maximumCount)
        let sendings = commands.map { command in Result { try sending(command) } }
        try Self.checkSize(sendings.compactMap { try? $0.get() })
        var results = await send(sendings.compactMap { try? $0.get() }, by: request)[...]
        let replies = sendings.map { sending -> Reply in
            do {
                _ = try sending.get()
                return .done(try results.removeFirst().get())
            } catch {
                return .refused(Problem(error).detail)
            }
        }
        var answer = Self.json(Replies(replies: replies))
        answer.isVoid = replies.allSatisfy(\.isRefused)
        return answer
    }

    private static func checkSize(_ sendings: [Sending]) throws(Problem) {
        let sizes = sendings.map(\.size)
        let (messages, bytes) = (sizes.reduce(0) { $0 + $1.messages }, sizes.reduce(0) { $0 + $1.bytes })
        guard messages <= mostMessages, bytes <= mostBytes else {
            throw Problem(
                .payloadTooLarge,
                "\(messages) messages with \(bytes) bytes, each counted once for each channel; a request may send "
                    + "\(mostMessages) with \(mostBytes) bytes")
        }
    }

    private func sending(_ command: [UInt8]) throws -> Sending {
        let command = try JSONMembers(command, known: ["publish", "broadcast"])
        switch (command.text("publish"), command.text("broadcast")) {
        case (let body?, nil): return try publishing(body)
        case (nil, let body?): return try broadcasting(body)
        default: throw Problem(.badRequest, "a command is either \"publish\" or \"broadcast\"")
        }
    }

    private func publishing(_ body: [UInt8]) throws -> Sending {
        let members = try JSONMembers(body, known: ["base64", "channel", "cluster", "data", "text", "user"])
        let channel = try Self.channel(members)
        let message = try message(members)
        let isForAll = try Self.cluster(members)
        if let user = try members.choice("user", "the name of a user") {
            return .direct(message, channel: channel, user: user, cluster: try cluster(isForAll))
        }
        try Self.checkNotOnOneNode(isForAll)
        return .messages([ChannelMessage(channel: channel, message: message)])
    }

    private func broadcasting(_ body: [UInt8]) throws -> Sending {
        let members = try JSONMembers(body, known: ["all", "base64", "channels", "cluster", "data", "text"])
        let channels = try members.choices("channels", "an array of names of channels", atMost: Self.maximumCount)
        let isForAll = try members.all()
        guard !isForAll || channels == nil else {
            throw Problem(.badRequest, "either \"channels\" or \"all\", not both")
        }
        let message = try message(members)
        let isOnAllNodes = try Self.cluster(members)
        if isForAll { return .direct(message, channel: nil, user: nil, cluster: try cluster(isOnAllNodes)) }
        guard let channels else {
            throw Problem(.badRequest, "\"channels\" is missing; to reach every connection say \"all\": true")
        }
        try Self.checkNotOnOneNode(isOnAllNodes)
        return .messages(
            try channels.map { ChannelMessage(channel: try Self.checked($0), message: message) })
    }

    /// A message in a channel's order goes to all its members.
    private static func checkNotOnOneNode(_ isWanted: Bool?) throws(Problem) {
        guard isWanted != nil else { return }
        throw Problem(
            .badRequest, "\"cluster\" is for messages to a \"user\" or to \"all\"; channels are the same on all nodes")
    }

    private func message(_ members: JSONMembers) throws(Problem) -> BroadcastMessage {
        let text = try members.string("text", "a string")
        let base64 = try members.string("base64", "a string in Base64")
        switch (members.text("data"), text, base64) {
        case (let data?, nil, nil): return BroadcastMessage(utf8: data)
        case (nil, let text?, nil): return BroadcastMessage(plainText: text)
        case (nil, nil, let base64?):
            guard let message = BroadcastMessage(base64: base64) else {
                throw Problem(
                    .badRequest, "\"base64\" must be Base64 with + and /, padded with =, without line breaks")
            }
            return message
        case (nil, nil, nil): throw Problem(.badRequest, "\"data\", any JSON value, \"text\" or \"base64\" is missing")
        default: throw Problem(.badRequest, "one of \"data\", \"text\" and \"base64\", not more")
        }
    }

    /// The result of a message in all its channels together. It has a position only if there is one channel.
    private static func sum(_ results: [PublishResult]) -> PublishResult {
        if results.count == 1 { return results[0] }
        return PublishResult(recipients: results.reduce(0) { $0 + $1.recipients })
    }

    /// Sends in order. Consecutive messages for channels are published together.
    private func send(_ sendings: [Sending], by request: Request) async -> [Result<PublishResult, any Error>] {
        let caller = Caller.client(address: request.address)
        var results: [Result<PublishResult, any Error>] = []
        var pending: [[ChannelMessage]] = []
        func publishPending() async {
            guard !pending.isEmpty else { return }
            var published = await backend.publish(Array(pending.joined()), by: caller)[...]
            for messages in pending {
                let own = published.prefix(messages.count)
                published = published.dropFirst(messages.count)
                results.append(Result { try Self.sum(own.map { try $0.get() }) })
            }
            pending = []
        }
        for sending in sendings {
            switch sending {
            case .messages(let messages): pending.append(messages)
            case .direct(let message, let channel, let user, let cluster):
                await publishPending()
                do {
                    let result =
                        if let cluster {
                            try await cluster.broadcast(message, channel: channel, user: user, by: caller)
                        } else {
                            try await backend.broadcast(message, channel: channel, user: user, by: caller)
                        }
                    results.append(.success(result))
                } catch { results.append(.failure(error)) }
            }
        }
        await publishPending()
        return results
    }
}
