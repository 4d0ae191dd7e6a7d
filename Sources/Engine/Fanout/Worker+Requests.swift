import Base
import CLinux
import Channels
import Settings
import WebSocket

/// The requests of `json` clients: each text message is one request.
extension Worker {
    func request(
        _ connection: Connection, _ opcode: Opcode, _ bytes: UnsafeRawBufferPointer
    ) {
        guard let session = connection.session else { return }
        ingress.work += Worker.requestWork
        guard opcode == .text else {
            guard isNext(nil, connection, session, opcode, bytes) else { return }
            sendError(connection, .unsupported, "a message is a text frame with one JSON object, not a binary frame")
            return
        }
        switch RequestReader.read(bytes) {
        case .failure(let error):
            guard isNext(nil, connection, session, opcode, bytes) else { return }
            let id = error.id.map { Array(bytes[$0]) } ?? []
            sendError(connection, error.code, error.message, id: id, channel: error.channel?.text(in: bytes))
        case .success(let request):
            guard isNext(destination(of: request, bytes, connection, session), connection, session, opcode, bytes)
            else {
                return
            }
            answer(request, bytes, connection, session)
        }
    }

    /// The work of a request besides its bytes: about a microsecond.
    private static let requestWork = 512

    /// Whether a request may be processed now. Answers come in the order of the requests, so while one worker has
    /// answers outstanding, no other worker, nor this one, may answer. The request is kept until then.
    ///
    /// - Parameter destination: the worker that answers a message; nil for a request that this worker answers or passes
    ///   on.
    private func isNext(
        _ destination: @autoclosure () -> Int?, _ connection: Connection,
        _ session: Boxed<Session>, _ opcode: Opcode, _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        guard let home = session.answeringHome, home != destination() else { return true }
        session.answeringHome = nil
        connection.flags.insert(.awaitsAnswer)
        // With a broker, this worker may have forgotten the channel long before its home has answered.
        let channel = connection.answeringChannelName ?? channels.find(session.answeringChannel)?.name ?? ""
        if context.broker != nil { connection.keep(nil) }
        outbox.pendingFences.append((home, channel, reference(to: connection)))
        `defer`(bytes, opcode, connection)
        return false
    }

    /// The worker that answers a message: the home of its channel; nil if this worker refuses it or the request is no
    /// message.
    private func destination(
        of request: Request, _ bytes: UnsafeRawBufferPointer, _ connection: Connection,
        _ session: Boxed<Session>
    ) -> Int? {
        guard request.kind == .chat else { return nil }
        let name = channelName(request, bytes, connection)
        guard !name.isEmpty, session.identity.mayPublish(to: name, channels.settings(for: name)) else {
            return nil
        }
        // With a broker, the answers of one channel's home may have to wait for it.
        guard context.broker == nil || connection.answeringChannelName.map(Name.init) == Name(name) else { return nil }
        return ChannelTable.home(of: name, workerCount: configuration.workerCount)
    }

    private func answer(
        _ request: Request, _ bytes: UnsafeRawBufferPointer, _ connection: Connection,
        _ session: Boxed<Session>
    ) {
        let id =
            request.id.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
            ?? UnsafeRawBufferPointer(start: nil, count: 0)
        switch request.kind {
        case .ping:
            sendAck(connection, id: id)
            return
        case .refresh:
            guard let token = request.token else { return }
            refresh(connection, session, token: token.text(in: bytes), id: Array(id))
            return
        case .chat, .join, .leave, .presence, .history:
            break
        }
        guard request.channel != nil || !configuration.endpoints[Int(connection.endpoint)].channel.isEmpty else {
            let message = "\"channel\" is missing, and this endpoint has no channel of its own"
            sendError(connection, .badChannel, message, id: Array(id))
            return
        }
        let joined = joinedChannel(request.channel, bytes, connection, session)
        switch request.kind {
        case .chat:
            chat(request, bytes, id, joined, connection, session)
        case .join:
            join(request, bytes, id, joined, connection, session)
        case .leave:
            let name = channelName(request, bytes, connection)
            guard let joined else {
                sendError(connection, .notJoined, Worker.notJoined, id: Array(id), channel: name)
                return
            }
            // Messages published before come before the answer.
            distribute(channels[joined])
            sendAck(connection, id: id, channel: name)
            leave(connection, session, joined)
        case .presence, .history, .ping, .refresh:
            ask(request, bytes, id, joined, connection, session)
        }
    }

    static let notJoined = "you are not in this channel; send a \"join\" for it first"

    /// The index of a channel that the client has joined; nil if it is not a member.
    private func joinedChannel(
        _ name: JSONString?, _ bytes: UnsafeRawBufferPointer, _ connection: Connection,
        _ session: Boxed<Session>
    ) -> UInt32? {
        let own = name == nil ? configuration.endpoints[Int(connection.endpoint)].channel : ""
        let membership = session.memberships.joined { membership in
            let known = channels[membership.channel].name
            return name?.equals(known, in: bytes) ?? (Name(known) == Name(own))
        }
        return membership?.channel
    }

    private func channelName(
        _ request: Request, _ bytes: UnsafeRawBufferPointer, _ connection: Connection
    ) -> String {
        request.channel?.text(in: bytes) ?? configuration.endpoints[Int(connection.endpoint)].channel
    }

    private func chat(
        _ request: Request, _ bytes: UnsafeRawBufferPointer, _ id: UnsafeRawBufferPointer, _ joined: UInt32?,
        _ connection: Connection, _ session: Boxed<Session>
    ) {
        let index = joined ?? channels.intern(channelName(request, bytes, connection))
        let channel = channels[index]
        defer { if joined == nil { channels.removeIfUnused(index) } }
        guard session.identity.mayPublish(to: channel.name, channel.settings) else {
            let message = Worker.notPermitted("publish", channel.settings.publish)
            sendError(connection, .notPermitted, message, id: Array(id), channel: channel.name)
            return
        }
        guard let data = request.data else { return }
        guard !isCongested(channel) else {
            hold(bytes, .text, connection)
            return
        }
        countEncoding(data.count, channel)
        writeName(connection)
        if channel.homeWorker != self.index || context.broker != nil, !id.isEmpty {
            if session.answeringHome == nil {
                if context.broker != nil { connection.keep(.answering(channel: channel.name)) }
            } else if session.answeringChannel != index, let last = channels.find(session.answeringChannel) {
                // Messages to one home in several channels keep the order in which they were sent.
                distribute(last)
            }
            session.answeringHome = channel.homeWorker
            session.answeringChannel = index
        }
        outbox.nameText.withBytes { from in
            let publication = Publication(
                form: .chatJSON, opcode: .text, senderProtocol: connection.encoding.clientProtocol,
                sender: reference(to: connection), from: from, id: id,
                data: UnsafeRawBufferPointer(rebasing: bytes[data]))
            publish(publication, channel, at: nanoseconds)
        }
    }

    private static func notPermitted(_ action: String, _ access: Access) -> String {
        switch access {
        case .anyone: "you may not \(action) in this channel"
        case .users: "only users with a token may \(action) in this channel"
        case .granted: "your token does not let you \(action) in this channel; its claim \"channels\" would have to"
        case .nobody: "clients may not \(action) in this channel"
        }
    }

    private func join(
        _ request: Request, _ bytes: UnsafeRawBufferPointer, _ id: UnsafeRawBufferPointer, _ joined: UInt32?,
        _ connection: Connection, _ session: Boxed<Session>
    ) {
        var position: MessagePosition?
        if let since = request.since {
            position = MessagePosition(epoch: since.epoch.text(in: bytes), seq: since.seq)
        }
        let join = JoinRequest(
            connection: reference(to: connection), name: name(of: session.identity, connection),
            isMember: joined != nil, id: Array(id),
            since: position)
        if let joined {
            requestJoin(join, connection, to: joined)
            return
        }
        let name = channelName(request, bytes, connection)
        let settings = channels.settings(for: name)
        guard session.identity.maySubscribe(to: name, settings) else {
            let message = Worker.notPermitted("subscribe", settings.subscribe)
            sendError(connection, .notPermitted, message, id: Array(id), channel: name)
            return
        }
        let limit = configuration.limits.channels
        guard limit == 0 || session.memberships.count < limit else {
            let message = "you are in \(limit) channels, as many as limits.channels allows; leave one first"
            sendError(connection, .limit, message, id: Array(id), channel: name)
            return
        }
        let index = channels.intern(name)
        session.memberships.begin(index)
        requestJoin(join, connection, to: index)
    }

    /// Passes a member's question to the channel's home.
    private func ask(
        _ request: Request, _ bytes: UnsafeRawBufferPointer, _ id: UnsafeRawBufferPointer, _ joined: UInt32?,
        _ connection: Connection, _ session: Boxed<Session>
    ) {
        let isPresence = request.kind == .presence
        let name = channelName(request, bytes, connection)
        guard let joined else {
            sendError(connection, .notJoined, Worker.notJoined, id: Array(id), channel: name)
            return
        }
        let channel = channels[joined]
        guard isPresence ? channel.settings.presence : channel.settings.keepsHistory else {
            let message = isPresence ? "this channel does not tell who is in it" : "this channel keeps no history"
            sendError(connection, .unavailable, message, id: Array(id), channel: name)
            return
        }
        let subject: Question.Subject =
            isPresence ? .presence : .history(before: request.before, limit: request.limit ?? Worker.historyPage)
        let question = Question(subject: subject, connection: reference(to: connection), id: Array(id))
        if let home = channel.home, home.shared == nil {
            answer(question, home)
        } else {
            // The member's earlier messages have to arrive before its question.
            distribute(channel)
            connection.flags.insert(.awaitsAnswer)
            connection.keep(.question(OpenQuestion(channel: channel.index, id: question.id)))
            context.handles[channel.homeWorker].mailbox.post(.home(.ask(channel: channel.name, question)))
        }
    }

    /// The number of messages in a page of history, unless the client sets a limit.
    private static let historyPage = 50
}
