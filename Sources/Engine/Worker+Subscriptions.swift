import Rooms
import WebSocket

extension Worker {
    /// Adds a `relay` client to its endpoint's channel.
    func subscribe(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, to name: String) {
        let index = channels.intern(name)
        let channel = channels[index]
        // Messages published before the subscription are not for the new subscriber.
        distribute(channel)
        record.pointee.channel = index
        changeSubscribers(channel) {
            channel.reserve(record.pointee.encoding)
            record.pointee.channelPosition = admit(slot, to: channel)
        }
    }

    /// Makes a change to a channel's subscribers, and tells the home if that changes the encodings in use here.
    private func changeSubscribers(_ channel: Channel, _ change: () -> Void) {
        let before = channel.encodings
        change()
        guard channel.encodings != before, channel.homeWorker != index else { return }
        context.handles[channel.homeWorker].mailbox.post(
            .interest(channel: channel.name, worker: index, channel.encodings))
    }

    private func admit(_ slot: Int, to channel: Channel) -> UInt32 {
        statistics.subscriptions += 1
        return channel.admit(slot)
    }

    /// Ends a connection's subscriptions; it still gets the messages published before.
    func leaveChannels(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        if record.pointee.channel != Connection.noChannel {
            let index = record.pointee.channel
            record.pointee.channel = Connection.noChannel
            unsubscribe(slot, record, from: index, at: record.pointee.channelPosition)
            channels.removeIfUnused(index)
        }
        guard let session = record.pointee.session else { return }
        // A client that closes with 1000 or is kicked has left; one that is cut off, reloads the page or is told to
        // reconnect may be back in a moment.
        let isLost = record.pointee.closeCode != CloseCode.normal.rawValue && record.pointee.cause != .kicked
        for membership in session.pointee.memberships where membership.state == .joined {
            unsubscribe(slot, record, from: membership.channel, at: membership.position)
            tellHome(
                thatLeft: name(of: session.pointee.identity, slot, record), channels[membership.channel],
                isLost: isLost,
                countedUnder: membership.generation)
            channels.removeIfUnused(membership.channel)
        }
        // For channels that are still being joined, the home's answer will find no membership.
        session.pointee.memberships.removeAll()
    }

    /// Removes a connection from a channel's subscribers. The channel may be unused then.
    private func unsubscribe(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, from index: UInt32, at position: UInt32
    ) {
        let channel = channels[index]
        distribute(channel)
        statistics.subscriptions -= 1
        changeSubscribers(channel) {
            guard let moved = channel.remove(at: position, record.pointee.encoding) else { return }
            setPosition(position, of: slab[Int(moved)], in: index)
        }
    }

    private func setPosition(_ position: UInt32, of record: UnsafeMutablePointer<Connection>, in index: UInt32) {
        guard record.pointee.channel != index else {
            record.pointee.channelPosition = position
            return
        }
        guard let session = record.pointee.session,
            let place = session.pointee.memberships.firstIndex(where: { $0.channel == index && $0.state == .joined })
        else { return }
        session.pointee.memberships[place].position = position
    }

    // MARK: Joining, for clients of the json protocol

    /// Asks a channel's home to let a connection in. The answer comes as a letter, for which an open connection waits,
    /// or at once if the home is here.
    func requestJoin(
        _ request: JoinRequest, _ slot: Int, _ record: UnsafeMutablePointer<Connection>, to index: UInt32
    ) {
        let channel = channels[index]
        let encoding = record.pointee.encoding
        if !request.isMember { changeSubscribers(channel) { channel.reserve(encoding) } }
        if let home = channel.home {
            joined(join(request, channel, home), encoding, index)
        } else {
            // The connection's earlier messages come before its join.
            distribute(channel)
            if record.pointee.phase == .open { record.pointee.flags.insert(.awaitsAnswer) }
            context.handles[channel.homeWorker].mailbox.post(.join(channel: channel.name, request, encoding))
        }
    }

    /// Takes the reply of a channel's home: from now on, the channel's messages are for the connection.
    func joined(_ reply: JoinReply, _ encoding: Encoding, _ index: UInt32) {
        defer { channels.removeIfUnused(index) }
        let request = reply.request
        let channel = channels[index]
        let slot = Int(request.connection.slot)
        let record = slab.find(slot: slot, generation: request.connection.generation)
        if let record { resume(slot, record, .awaitsAnswer) }
        guard case .joined(_, let seq, _, _) = reply.outcome else {
            changeSubscribers(channel) { channel.cancel(encoding) }
            if let record { refuseJoin(slot, record, request, channel, index) }
            return
        }
        if request.isMember {
            if let record { answerMember(slot, record, reply, channel, index) }
            return
        }
        if let record, record.pointee.phase == .admitting {
            guard openPending(slot, record), let session = record.pointee.session else {
                abandonJoin(reply, encoding, channel)
                return
            }
            enter(slot, record, session, index, channel, after: seq, countedUnder: reply.generation)
            sendWelcome(slot, record, channel: channel.name, reply)
            readPending(slot, record)
            return
        }
        guard let record, record.pointee.phase == .open, let session = record.pointee.session,
            let state = takePlace(in: index, session)
        else {
            abandonJoin(reply, encoding, channel)
            return
        }
        guard state == .joining else {
            abandonJoin(reply, encoding, channel)
            refuseRevoked(slot, record, reply, channel)
            return
        }
        sendJoinAck(slot, record, reply, channel)
        enter(slot, record, session, index, channel, after: seq, countedUnder: reply.generation)
    }

    /// Answers a member that joins again with the messages that it missed before its live stream. If it asks from a
    /// position within the live stream, or the queue policy has made a gap in it, the answer has all messages up to
    /// now, and the live stream begins anew.
    private func answerMember(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ reply: JoinReply, _ channel: Channel, _ index: UInt32
    ) {
        guard record.pointee.phase == .open, let session = record.pointee.session else { return }
        guard let place = session.pointee.memberships.firstIndex(where: { $0.channel == index && $0.state == .joined })
        else {
            refuseRevoked(slot, record, reply, channel)
            return
        }
        guard case .joined(_, let seq, let isRecovered, _) = reply.outcome else { return }
        let membership = session.pointee.memberships[place]
        if isRecovered, let since = reply.request.since, since.seq < membership.startSeq,
            membership.droppedBefore == record.pointee.dropped
        {
            sendJoinAck(slot, record, reply.through(membership.startSeq), channel)
        } else {
            session.pointee.memberships[place].startSeq = seq
            session.pointee.memberships[place].droppedBefore = record.pointee.dropped
            sendJoinAck(slot, record, reply, channel)
        }
    }

    private func refuseRevoked(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ reply: JoinReply, _ channel: Channel
    ) {
        let message = "you were taken out of the channel meanwhile"
        sendError(slot, record, .notPermitted, message, id: reply.request.id, channel: channel.name)
    }

    /// Removes the membership of a connection that was joining a channel, and returns its state; nil without one.
    private func takePlace(
        in index: UInt32, _ session: UnsafeMutablePointer<Session>
    ) -> Session.Membership.State? {
        let place = session.pointee.memberships.firstIndex { $0.channel == index && $0.state != .joined }
        return place.map { session.pointee.memberships.remove(at: $0).state }
    }

    /// Undoes a join, at this worker and at the home, for a connection that is no longer to join.
    private func abandonJoin(_ reply: JoinReply, _ encoding: Encoding, _ channel: Channel) {
        changeSubscribers(channel) { channel.cancel(encoding) }
        tellHome(thatLeft: reply.request.name, channel, isLost: false, countedUnder: reply.generation)
    }

    private func enter(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>,
        _ index: UInt32, _ channel: Channel, after seq: UInt64, countedUnder generation: UInt32
    ) {
        session.pointee.memberships.append(
            Session.Membership(
                channel: index, position: admit(slot, to: channel), generation: generation,
                startSeq: seq, droppedBefore: record.pointee.dropped))
    }

    private func refuseJoin(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ request: JoinRequest, _ channel: Channel,
        _ index: UInt32
    ) {
        let message = "the channel has its \(channel.settings.maximumMembers) members; try again later"
        if record.pointee.phase == .admitting {
            let refusal = Refusal(.serviceUnavailable, message, fields: [Worker.retryAfter])
            refuse(
                slot, record, refusal, cause: .channelLimit,
                RefusedAs(
                    path: pendingOpens[slot].map { configuration.endpoints[$0.endpoint].path },
                    user: pendingOpens[slot]?.session?.identity.user, channel: channel.name))
        } else if let session = record.pointee.session {
            _ = takePlace(in: index, session)
            sendError(slot, record, .full, message, id: request.id, channel: channel.name)
        }
    }

    /// Ends the membership of a `json` client that has joined.
    func leave(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>, place: Int
    ) {
        let membership = session.pointee.memberships.remove(at: place)
        let channel = channels[membership.channel]
        unsubscribe(slot, record, from: membership.channel, at: membership.position)
        tellHome(
            thatLeft: name(of: session.pointee.identity, slot, record), channel, isLost: false,
            countedUnder: membership.generation)
        channels.removeIfUnused(membership.channel)
    }

    /// Removes a `json` client from a channel and tells it; if it is still joining, the answer to its request tells it.
    func takeOut(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>, place: Int,
        reason: String
    ) {
        let membership = session.pointee.memberships[place]
        guard membership.state == .joined else {
            session.pointee.memberships[place].revoke()
            return
        }
        let channel = channels[membership.channel]
        // What was published before comes before it; nothing of the channel comes behind it, the answer to a question neither.
        distribute(channel)
        if openQuestions[slot]?.channel == membership.channel { openQuestions[slot]?.isRevoked = true }
        sendLeft(slot, record, channel: channel.name, reason: reason)
        leave(slot, record, session, place: place)
    }

    private func tellHome(
        thatLeft name: @autoclosure () -> String, _ channel: Channel, isLost: Bool, countedUnder generation: UInt32
    ) {
        guard generation > 0 else { return }
        if let home = channel.home {
            left(name(), channel, home, isLost: isLost, countedUnder: generation)
        } else {
            context.handles[channel.homeWorker].mailbox.post(
                .leave(channel: channel.name, name: name(), isLost: isLost, generation: generation))
        }
    }
}
