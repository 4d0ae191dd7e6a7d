import Base
import Channels
import Settings
import WebSocket

extension Worker {
    /// Adds a `relay` client to its endpoint's channel.
    func subscribe(_ connection: Connection, to name: String) {
        let index = channels.intern(name)
        let channel = channels[index]
        // Messages published before the subscription are not for the new subscriber.
        distribute(channel)
        connection.channel = index
        changeSubscribers(channel) {
            channel.reserve(connection.encoding)
            connection.channelPosition = admit(connection, to: channel)
        }
    }

    /// Makes a change to a channel's subscribers, and tells the home if that changes the encodings in use here.
    private func changeSubscribers(_ channel: Channel, _ change: () -> Void) {
        let before = channel.encodings
        change()
        guard channel.encodings != before else { return }
        guard channel.home == nil else {
            keepSubscribed(channel)
            return
        }
        context.handles[channel.homeWorker].mailbox.post(
            .home(.interest(channel: channel.name, worker: index, channel.encodings)))
    }

    private func admit(_ connection: Connection, to channel: Channel) -> UInt32 {
        telemetry.statistics.subscriptions += 1
        return channel.admit(connection.slot)
    }

    /// Ends a connection's subscriptions; it still gets the messages published before.
    func leaveChannels(_ connection: Connection) {
        if connection.channel != Connection.noChannel {
            let index = connection.channel
            connection.channel = Connection.noChannel
            unsubscribe(connection, from: index, at: connection.channelPosition)
            channels.removeIfUnused(index)
        }
        guard let session = connection.session else { return }
        // A client that closes with 1000 or is kicked has left; one that is cut off, reloads the page or is told to
        // reconnect may be back in a moment.
        let isLost = connection.closeCode != CloseCode.normal.rawValue && connection.cause != .kicked
        for membership in session.memberships.leaveAll() { withdraw(connection, session, membership, isLost: isLost) }
    }

    /// Removes a connection from a channel's subscribers. The channel may be unused then.
    private func unsubscribe(
        _ connection: Connection, from index: UInt32, at position: UInt32
    ) {
        let channel = channels[index]
        distribute(channel)
        telemetry.statistics.subscriptions -= 1
        changeSubscribers(channel) {
            guard let moved = channel.remove(at: position, connection.encoding) else { return }
            setPosition(position, of: slab[Int(moved)], in: index)
        }
    }

    private func setPosition(_ position: UInt32, of connection: Connection, in index: UInt32) {
        guard connection.channel != index else {
            connection.channelPosition = position
            return
        }
        connection.session?.memberships.move(to: position, in: index)
    }

    /// Lets a `relay` client in as soon as a broker delivers its channel: what is published after the client's handshake is
    /// for the client. A broker that is not there keeps nobody out.
    func requestSubscription(_ connection: Connection, to name: String) {
        let request = JoinRequest(
            connection: reference(to: connection), name: "", isMember: false, id: [], since: nil, isSilent: true)
        // It has sent its request in time, and must not be refused because the broker is slow.
        setDeadline(connection, now &+ clock.ticks(max(configuration.server.handshakeTimeout, .seconds(5))))
        requestJoin(request, connection, to: channels.intern(name))
    }

    /// Opens a `relay` client whose channel is live, or was waited for long enough.
    private func open(_ connection: Connection?, _ encoding: Encoding, _ index: UInt32) {
        let channel = channels[index]
        guard let connection, connection.phase == .admitting, openPending(connection) else {
            changeSubscribers(channel) { channel.cancel(encoding) }
            return
        }
        connection.channel = index
        connection.channelPosition = admit(connection, to: channel)
        readPending(connection)
    }

    // MARK: Joining, for clients of the json protocol

    /// Asks a channel's home to let a connection in. The answer comes as a message, for which an open connection waits,
    /// or at once if the home is here.
    func requestJoin(
        _ request: JoinRequest, _ connection: Connection, to index: UInt32
    ) {
        let channel = channels[index]
        let encoding = connection.encoding
        if !request.isMember { changeSubscribers(channel) { channel.reserve(encoding) } }
        if let home = channel.home {
            if let reply = join(request, encoding, channel, home) {
                joined(reply, encoding, index)
            } else if connection.phase == .open {
                connection.flags.insert(.awaitsAnswer)
            }
        } else {
            // The connection's earlier messages come before its join.
            distribute(channel)
            if connection.phase == .open { connection.flags.insert(.awaitsAnswer) }
            context.handles[channel.homeWorker].mailbox.post(.home(.join(channel: channel.name, request, encoding)))
        }
    }

    /// Takes the reply of a channel's home: from now on, the channel's messages are for the connection.
    func joined(_ reply: JoinReply, _ encoding: Encoding, _ index: UInt32) {
        defer { channels.removeIfUnused(index) }
        let request = reply.request
        let channel = channels[index]
        let connection = slab.find(request.connection)
        if let connection { resume(connection, .awaitsAnswer) }
        if request.isSilent { return open(connection, encoding, index) }
        guard case .joined(_, let seq, _, _) = reply.outcome else {
            if !request.isMember { changeSubscribers(channel) { channel.cancel(encoding) } }
            if let connection { refuseJoin(connection, reply, channel, index) }
            return
        }
        if request.isMember {
            if let connection { answerMember(connection, reply, channel, index) }
            return
        }
        if let connection, connection.phase == .admitting {
            guard openPending(connection), let session = connection.session else {
                abandonJoin(reply, encoding, channel)
                return
            }
            enter(connection, session, index, channel, after: seq, countedUnder: reply.generation)
            sendWelcome(connection, channel: channel.name, reply)
            readPending(connection)
            return
        }
        guard let connection, connection.phase == .open, let session = connection.session,
            let state = session.memberships.settle(index)
        else {
            abandonJoin(reply, encoding, channel)
            return
        }
        guard state == .joining else {
            abandonJoin(reply, encoding, channel)
            refuseRevoked(connection, reply, channel)
            return
        }
        sendJoinAck(connection, reply, channel)
        enter(connection, session, index, channel, after: seq, countedUnder: reply.generation)
    }

    /// Answers a member that joins again with the messages that it missed before its live stream. If it asks from a
    /// position within the live stream, or the queue policy has made a gap in it, the answer has all messages up to
    /// now, and the live stream begins anew.
    private func answerMember(
        _ connection: Connection, _ reply: JoinReply, _ channel: Channel, _ index: UInt32
    ) {
        guard connection.phase == .open, let session = connection.session else { return }
        guard let membership = session.memberships.joined(index) else {
            refuseRevoked(connection, reply, channel)
            return
        }
        guard case .joined(_, let seq, let isRecovered, _) = reply.outcome else { return }
        if isRecovered, let since = reply.request.since, since.seq < membership.startSeq,
            membership.droppedBefore == connection.dropped
        {
            sendJoinAck(connection, reply.through(membership.startSeq), channel)
        } else {
            let dropped = connection.dropped
            session.memberships.update(index) { ($0.startSeq, $0.droppedBefore) = (seq, dropped) }
            sendJoinAck(connection, reply, channel)
        }
    }

    private func refuseRevoked(
        _ connection: Connection, _ reply: JoinReply, _ channel: Channel
    ) {
        let message = "you were taken out of the channel meanwhile"
        sendError(connection, .notPermitted, message, id: reply.request.id, channel: channel.name)
    }

    /// Undoes a join, at this worker and at the home, for a connection that is no longer to join.
    private func abandonJoin(_ reply: JoinReply, _ encoding: Encoding, _ channel: Channel) {
        changeSubscribers(channel) { channel.cancel(encoding) }
        tellHome(thatLeft: reply.request.name, channel, isLost: false, countedUnder: reply.generation)
    }

    private func enter(
        _ connection: Connection, _ session: Boxed<Session>,
        _ index: UInt32, _ channel: Channel, after seq: UInt64, countedUnder generation: UInt32
    ) {
        session.memberships.enter(
            Membership(
                channel: index, position: admit(connection, to: channel), generation: generation,
                startSeq: seq, droppedBefore: connection.dropped))
    }

    private func refuseJoin(
        _ connection: Connection, _ reply: JoinReply, _ channel: Channel, _ index: UInt32
    ) {
        var (code, cause) = (RequestError.Code.full, RefusalCause.channelLimit)
        var message = "the channel has its \(channel.settings.maxMembers) members; try again later"
        if case .unavailable = reply.outcome {
            (code, cause, message) = (.unavailable, .broker, Worker.brokerUnreachable)
        }
        if connection.phase == .admitting {
            let refusal = Refusal(.serviceUnavailable, message, fields: [Worker.retryAfter])
            refuse(
                connection, refusal, cause: cause,
                RefusedAs(
                    path: connection.pendingOpen.map { configuration.endpoints[$0.endpoint].path },
                    user: connection.pendingOpen?.session?.identity.user, channel: channel.name))
        } else if let session = connection.session {
            if !reply.request.isMember { _ = session.memberships.settle(index) }
            sendError(connection, code, message, id: reply.request.id, channel: channel.name)
        }
    }

    /// Ends the membership of a `json` client that has joined a channel.
    func leave(_ connection: Connection, _ session: Boxed<Session>, _ index: UInt32) {
        guard let membership = session.memberships.leave(index) else { return }
        withdraw(connection, session, membership, isLost: false)
    }

    /// Removes a `json` client from a channel and tells it; if it is still joining, the answer to its request tells it.
    func takeOut(_ connection: Connection, _ session: Boxed<Session>, of index: UInt32, reason: String) {
        guard case .left(let membership)? = session.memberships.takeOut(index) else { return }
        let channel = channels[index]
        // Messages published before come before this one. Nothing of the channel comes after it, not even the answer to
        // a question.
        distribute(channel)
        if var question = connection.question, question.channel == index {
            question.isRevoked = true
            connection.keep(.question(question))
        }
        sendLeft(connection, channel: channel.name, reason: reason)
        withdraw(connection, session, membership, isLost: false)
    }

    /// Removes a connection whose membership has ended from the channel's subscribers, and tells the channel's home.
    private func withdraw(
        _ connection: Connection, _ session: Boxed<Session>, _ membership: Membership, isLost: Bool
    ) {
        unsubscribe(connection, from: membership.channel, at: membership.position)
        tellHome(
            thatLeft: name(of: session.identity, connection), channels[membership.channel], isLost: isLost,
            countedUnder: membership.generation)
        channels.removeIfUnused(membership.channel)
    }

    private func tellHome(
        thatLeft name: @autoclosure () -> String, _ channel: Channel, isLost: Bool, countedUnder generation: UInt32
    ) {
        guard generation > 0 else { return }
        if let home = channel.home {
            left(name(), channel, home, isLost: isLost, countedUnder: generation)
        } else {
            context.handles[channel.homeWorker].mailbox.post(
                .home(.leave(channel: channel.name, name: name(), isLost: isLost, generation: generation)))
        }
    }
}
