import CLinux
import Rooms
import WebSocket

/// What a channel's home does for the `json` protocol. The members' side is in `+Subscriptions`.
extension Worker {
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

    /// Gives a message its place in the channel's order; at the channel's home, where all of its messages come by here. Returns
    /// the place, where it has a number: messages that can't be said in JSON have none, nor those of channels without a room.
    @discardableResult
    func place(_ publication: Publication, _ channel: Channel) -> MessagePosition? {
        channel.placedCount += 1
        let encodings = channel.allEncodings
        let isForRelay = !encodings.isDisjoint(with: .anyRelay)
        let isForJSON = !encodings.isDisjoint(with: .anyJSON)
        if publication.origin != .json {
            if isForRelay { channel.relayFrames.append(publication.opcode, payload: publication.data) }
            guard publication.opcode == .text, needsRoom(channel) else { return nil }
        }
        let room = room(channel)
        let now = clinux_realtime_milliseconds()
        room.seq += 1
        if let sender = publication.sender, !publication.id.isEmpty {
            writeAck(publication.id, room, now)
            answer(sender)
        }
        write(publication, room, now)
        // A message that nobody hears as JSON is nobody's to leave out.
        if publication.origin == .json, !channel.settings.echo, isForJSON, let sender = publication.sender {
            channel.exclusions.append(
                Delivery.Exclusion(connection: sender, frame: channel.jsonFrames.frameEnds.count))
        }
        text.withBytes { object in
            // Clients of the relay protocol see the whole object.
            if publication.origin == .json, isForRelay { channel.relayFrames.append(.text, payload: object) }
            if isForJSON { channel.jsonFrames.append(.text, payload: object) }
            if channel.settings.keepsHistory { keep(object, room, channel, at: now) }
        }
        return MessagePosition(epoch: room.epoch, seq: room.seq)
    }

    /// Writes the ack of a message that has just got its number.
    private func writeAck(_ id: UnsafeRawBufferPointer, _ room: Room, _ now: Int64) {
        text.removeAll(keepingCapacity: true)
        text.append("{\"type\":\"ack\",\"id\":")
        text.append(raw: id)
        text.append(",\"channel\":")
        text.append(raw: room.quotedName)
        appendPosition(room)
        appendTime(now)
        text.append("}")
    }

    /// Writes a message that has just got its number, in the words of the `json` protocol.
    private func write(_ publication: Publication, _ room: Room, _ now: Int64) {
        text.removeAll(keepingCapacity: true)
        switch publication.origin {
        case .relay, .json: text.append("{\"type\":\"chat\",\"channel\":")
        case .system, .systemText: text.append("{\"type\":\"system\",\"channel\":")
        }
        text.append(raw: room.quotedName)
        if !publication.from.isEmpty {
            text.append(",\"from\":")
            text.append(raw: publication.from)
        }
        appendTime(now)
        text.append(",\"seq\":")
        text.append(room.seq)
        switch publication.origin {
        case .json:
            text.append(",\"data\":")
            text.append(raw: publication.data)
        case .relay:
            text.append(",\"data\":")
            text.append(string: publication.data)
        case .system, .systemText:
            appendData(publication.data, isPlainText: publication.origin == .systemText)
        }
        text.append("}")
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
        channel.placedCount += 1
        text.withBytes { channel.jsonFrames.append(.text, payload: $0) }
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
