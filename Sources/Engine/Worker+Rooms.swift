import CLinux
import Rooms
import WebSocket

/// What a channel's home does for the `json` protocol. The members' side is in `+Subscriptions`.
extension Worker {
    /// Whose words a message in the `relay` protocol is.
    enum Origin: Equatable { case client, `operator`(isPlainText: Bool) }

    /// Whether messages of the channel are numbered: someone hears them as `json`, has done so, or may ask for them later.
    func needsRoom(_ channel: Channel) -> Bool {
        channel.room != nil || channel.settings.keepsHistory || !channel.allEncodings.isDisjoint(with: .anyJSON)
    }

    func room(_ channel: Channel) -> Room {
        if let room = channel.room { return room }
        let room = Room(name: channel.name, settings: channel.settings, meter: context.account.history)
        channel.room = room
        return room
    }

    /// Says a `relay` message in the words of the `json` protocol: text as a string, what an operator sends as it is where
    /// it is JSON. Binary messages can't be said in it. Returns its place in the channel.
    @discardableResult
    func translate(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, from origin: Origin, _ channel: Channel
    ) -> MessagePosition? {
        guard opcode == .text, needsRoom(channel) else { return nil }
        let room = room(channel)
        let now = clinux_realtime_milliseconds()
        room.seq += 1
        text.removeAll(keepingCapacity: true)
        text.append(origin == .client ? "{\"type\":\"chat\",\"channel\":" : "{\"type\":\"system\",\"channel\":")
        text.append(raw: room.quotedName)
        appendTime(now)
        text.append(",\"seq\":")
        text.append(room.seq)
        if case .operator(let isPlainText) = origin {
            appendData(payload, isPlainText: isPlainText)
        } else {
            text.append(",\"data\":")
            text.append(string: payload)
        }
        text.append("}")
        finishMessage(room, channel, now)
        return MessagePosition(epoch: room.epoch, seq: room.seq)
    }

    /// A `json` client's message gets its number and goes to everyone in the channel.
    func accept(_ draft: Drafts.Draft, _ channel: Channel) {
        let room = room(channel)
        let now = clinux_realtime_milliseconds()
        room.seq += 1
        if !draft.id.isEmpty {
            text.removeAll(keepingCapacity: true)
            text.append("{\"type\":\"ack\",\"id\":")
            text.append(raw: draft.id)
            text.append(",\"channel\":")
            text.append(raw: room.quotedName)
            appendPosition(room)
            appendTime(now)
            text.append("}")
            answer(draft.connection)
        }
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"chat\",\"channel\":")
        text.append(raw: room.quotedName)
        text.append(",\"from\":")
        text.append(raw: draft.from)
        appendTime(now)
        text.append(",\"seq\":")
        text.append(room.seq)
        text.append(",\"data\":")
        text.append(raw: draft.data)
        text.append("}")
        // A message that nobody hears as JSON is nobody's to leave out.
        if !channel.settings.echo, !channel.allEncodings.isDisjoint(with: .anyJSON) {
            channel.exclusions.append(
                Publication.Exclusion(connection: draft.connection, frame: channel.jsonBatch.frameEnds.count))
        }
        text.withBytes { object in
            // Clients of the relay protocol see the whole object.
            if !channel.allEncodings.isDisjoint(with: .anyRelay) { channel.batch.append(.text, payload: object) }
        }
        finishMessage(room, channel, now)
        if channel.jsonBatch.count > Worker.batchByteCount { distribute(channel) }
    }

    /// `text` is a numbered message: it goes to the members and into the history.
    private func finishMessage(_ room: Room, _ channel: Channel, _ now: Int64) {
        text.withBytes { object in
            if !channel.allEncodings.isDisjoint(with: .anyJSON) { channel.jsonBatch.append(.text, payload: object) }
            guard channel.settings.keepsHistory else { return }
            keep(object, room, channel, at: now)
        }
    }

    /// Another worker's clients' messages.
    func accept(_ drafts: Drafts, channel name: String, at time: UInt64) {
        let index = channels.intern(name)
        let channel = channels[index]
        markPublished(channel, index, at: time)
        countEncoding(drafts.byteCount, channel)
        drafts.forEach { accept($0, channel) }
        context.account.drafts.add(-drafts.byteCount)
        channels.removeIfUnused(index)
    }

    // MARK: Members

    /// Lets a connection in, or tells a member what it asks for.
    func join(_ request: JoinRequest, _ index: UInt32) -> JoinReply {
        let channel = channels[index]
        let room = room(channel)
        if !request.isMember {
            let limit = channel.settings.maximumMembers
            if limit > 0, room.memberCount >= limit { return JoinReply(request: request, outcome: .full) }
            if channel.settings.isTracked { room.memberCount += 1 }
            let now = clinux_realtime_milliseconds()
            if channel.settings.tracksPresence, room.presence.enter(request.name, at: now) {
                announce("join", request.name, channel, room, now)
            }
        }
        // What was published before is not for the newcomer's live stream; and a member that asks for what it missed hears
        // all that has a smaller number than its answer before it.
        distribute(channel)
        postAnswers()
        let isCounted = !request.isMember && channel.settings.isTracked
        let isRecovered = request.since.map { isRecoverable($0, room) } ?? false
        return JoinReply(
            request: request,
            generation: isCounted ? configuration.generation : 0,
            outcome: .joined(
                epoch: room.epoch, seq: room.seq, isRecovered: isRecovered,
                missed: isRecovered ? request.since.flatMap { missed($0, room) } : nil))
    }

    private func isRecoverable(_ since: MessagePosition, _ room: Room) -> Bool {
        guard since.epoch == room.epoch else { return false }
        changeHistory(room) { $0.expire(now: clinux_realtime_milliseconds()) }
        return room.history.covers(after: since.seq, newest: room.seq)
    }

    /// What came after a position that is recoverable; nil where nothing did.
    private func missed(_ since: MessagePosition, _ room: Room) -> HistorySlice? {
        guard since.seq < room.seq else { return nil }
        var slice: HistorySlice?
        changeHistory(room) { slice = $0.slice(after: since.seq) }
        return slice
    }

    /// A member is gone.
    ///
    /// - Parameter generation: the configuration under which it was counted.
    func left(_ name: String, _ channel: Channel, isLost: Bool, countedUnder generation: UInt32) {
        guard let room = channel.room, generation >= channel.countedSince else { return }
        room.memberCount = max(0, room.memberCount - 1)
        guard channel.settings.tracksPresence else { return }
        let now = clinux_realtime_milliseconds()
        if room.presence.leave(name, at: now, isLost: isLost) { announce("leave", name, channel, room, now) }
        noteDeadline(room)
    }

    /// Tells the members who came or went, where they are to know.
    func announce(_ type: StaticString, _ name: String, _ channel: Channel, _ room: Room, _ now: Int64) {
        guard channel.settings.joinLeave, !channel.allEncodings.isDisjoint(with: .anyJSON) else { return }
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"")
        text.append(type)
        text.append("\",\"channel\":")
        text.append(raw: room.quotedName)
        text.append(",\"from\":")
        text.append(string: name)
        appendTime(now)
        text.append("}")
        if let index = channels.index(of: channel.name) { markPublished(channel, index, at: nanoseconds) }
        text.withBytes { channel.jsonBatch.append(.text, payload: $0) }
    }

    // MARK: Questions

    /// Answers a member that wants to know something.
    func answer(_ question: Question, _ channel: Channel) {
        let room = room(channel)
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"ack\",\"id\":")
        text.append(raw: question.id)
        text.append(",\"channel\":")
        text.append(raw: room.quotedName)
        switch question.subject {
        case .presence: appendUsers(room)
        case .history(let before, let limit): appendHistory(room, before: before, limit: limit)
        }
        text.append("}")
        answer(question.connection)
    }

    private func appendUsers(_ room: Room) {
        text.append(",\"users\":[")
        var isFirst = true
        for entry in room.presence.users {
            text.append(isFirst ? "{\"user\":" : ",{\"user\":")
            isFirst = false
            text.append(string: entry.user)
            text.append(",\"connections\":")
            text.append(UInt64(entry.connections))
            text.append(",\"since\":")
            text.append(time: entry.since)
            text.append("}")
        }
        text.append("]")
    }

    /// The messages of one page of history have so many bytes at most, or it has one message.
    private static let pageByteCount = 256 * 1024

    private func appendHistory(_ room: Room, before: UInt64?, limit: Int) {
        changeHistory(room) { $0.expire(now: clinux_realtime_milliseconds()) }
        appendPosition(room)
        text.append(",\"messages\":[")
        let page = room.history.page(before: before, limit: limit, byteCount: Worker.pageByteCount)
        if !page.isEmpty {
            room.history.forEach(after: page.lowerBound - 1, through: page.upperBound - 1) { object in
                text.append(raw: object)
                text.append(",")
            }
            text.removeLast()
        }
        text.append("],\"more\":")
        text.append(room.history.hasMore(before: page.lowerBound) && !page.isEmpty ? "true" : "false")
    }

    // MARK: Pieces of text

    func appendTime(_ now: Int64) {
        text.append(",\"time\":")
        text.append(time: now)
    }

    private func appendPosition(_ room: Room) {
        text.append(",\"epoch\":\"")
        text.append(raw: room.epoch)
        text.append("\",\"seq\":")
        text.append(room.seq)
    }
}
