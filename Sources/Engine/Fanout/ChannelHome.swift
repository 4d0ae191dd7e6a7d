import Base
import Broker
import Channels
import Settings
import WebSocket

/// A channel at its home: the order of its messages, its members, and its history.
///
/// It does no I/O: frames for the members wait until `takeDelivery`, and an answer to one connection is returned to the
/// caller. Times are milliseconds since 1970. It belongs to one worker's thread.
final class ChannelHome {
    let name: String
    private(set) var settings: ChannelSettings
    /// The generation of the configuration since which members are counted the present way.
    private(set) var countedSince: UInt32 = 0
    /// The state that the `json` protocol needs; created when it is first needed.
    private(set) var room: Room?
    /// What the home keeps while a broker shares the channel between nodes; nil if this node is alone.
    var shared: SharedChannel?
    let history: HistoryCost

    /// The messages that have been ordered and not yet handed over, encoded once for each protocol in use.
    private var frames: ClientProtocol.Table<SegmentBuilder>
    /// The number of these messages.
    private var messageCount = 0
    /// The connections that do not get a message.
    private var exclusions: [Delivery.Exclusion] = []
    /// The receipts of publishers that are to learn how many connections the messages go to.
    private(set) var receipts: [Receipt] = []
    /// The followers: they get the channel's messages without being members.
    var followers: [Follower] = []
    private(set) var activity = Activity()

    /// The encodings that subscribers on this worker use, including those that are being let in.
    var encodingsHere: Encoding.Set = []
    /// A bit for each other worker with subscribers, and the encodings of these subscribers, by worker and in total.
    private(set) var interested: UInt64 = 0
    private var encodingsByWorker: [Int: Encoding.Set] = [:]
    private var encodingsElsewhere: Encoding.Set = []

    init(name: String, settings: ChannelSettings, isShared: Bool = false, frames: ByteMeter, history: HistoryCost) {
        self.name = name
        if isShared { shared = SharedChannel() }
        self.settings = settings
        self.history = history
        self.frames = InlineArray { _ in SegmentBuilder(frames) }
    }

    /// Takes over the room of an earlier process.
    func take(_ room: Room?, countedSince: UInt32) {
        self.room = room
        self.countedSince = countedSince
    }

    /// Whether nothing needs the home, provided that nobody on this worker is in the channel.
    var isUnused: Bool {
        guard interested == 0, !hasDelivery, followers.isEmpty else { return false }
        guard let shared else { return room?.isForgettable ?? true }
        // The broker keeps the history.
        return shared.isIdle && room?.isEmpty ?? true
    }

    /// Whether the channel's messages are wanted here.
    var isWanted: Bool { !encodings.isEmpty || !followers.isEmpty || !(shared?.waiting.isEmpty ?? true) }

    /// Applies new settings. If they count members differently, counting begins anew.
    func apply(_ new: ChannelSettings, generation: UInt32, at now: Int64) {
        if !new.countsMembersLike(settings) {
            countedSince = generation
            forgetMembers(at: now)
        }
        settings = new
        room?.presence.leaveDelay = new.leaveDelay.milliseconds
        room?.changeHistory { $0.setLimits(new.historyLimits, now: now) }
    }

    /// Forgets the members, who will be counted again, and withdraws their users from the broker.
    private func forgetMembers(at now: Int64) {
        for user in shared == nil ? [] : room?.presence.users ?? [] {
            shared?.note(
                PresenceChange(channel: name, user: user.user, isPresent: false, isAnnounced: false, time: now))
        }
        room?.forgetMembers()
    }

    // MARK: Recipients

    /// The encodings in use on any worker.
    var encodings: Encoding.Set {
        let inUse = encodingsHere.union(encodingsElsewhere)
        return followers.isEmpty ? inUse : inUse.union(Encoding.Set(Encoding(.ofFollowers)))
    }

    /// Sets the encodings that another worker's subscribers use; empty: it has no subscribers.
    func setEncodings(_ encodings: Encoding.Set, ofWorker worker: Int) {
        encodingsByWorker[worker] = encodings.isEmpty ? nil : encodings
        interested = encodingsByWorker.keys.reduce(0) { $0 | 1 << UInt64($1) }
        encodingsElsewhere = encodingsByWorker.values.reduce([]) { $0.union($1) }
    }

    // MARK: Messages

    /// Gives a message its position in the channel's order. All messages pass through here, whoever publishes them.
    /// Returns the position of a numbered message; messages that JSON can't represent have no number, nor have those of
    /// channels without a room.
    ///
    /// - Parameter acknowledge: gets the answer to a request that has an id.
    @discardableResult
    func publish(
        _ publication: Publication, at now: Int64, _ text: inout MessageText,
        acknowledge: (ConnectionReference, UnsafeRawBufferPointer) -> Void
    ) -> MessagePosition? {
        guard publication.opcode == .text, isNumbered || publication.senderProtocol?.isNumbered ?? false else {
            placeUnnumbered(publication.form, publication.opcode, publication.data)
            return nil
        }
        let room = madeRoom()
        let position = room.next()
        if let sender = publication.sender, !publication.id.isEmpty {
            text.writeAck(publication.id, quotedChannel: room.quotedName, position, at: now)
            text.withBytes { acknowledge(sender, $0) }
        }
        place(
            publication.numbered(position.seq, at: now), from: publication.sender, publication.senderProtocol, in: room,
            &text)
        return position
    }

    /// Writes a message without a number for those whose protocol has such messages.
    func placeUnnumbered(_ form: NumberedPublication.Form, _ opcode: Opcode, _ data: UnsafeRawBufferPointer) {
        messageCount += 1
        encodings.forEachProtocol { each in
            guard each.form(of: form, opcode) == .unchanged else { return }
            frames[Int(each.rawValue)].append(opcode, payload: data)
        }
    }

    /// Writes a text message that has its number for everyone, and adds it to the history.
    func place(
        _ numbered: NumberedPublication, from sender: ConnectionReference?, _ senderProtocol: ClientProtocol?,
        in room: Room, _ text: inout MessageText
    ) {
        messageCount += 1
        var isWritten = false
        encodings.forEachProtocol { each in
            switch each.form(of: numbered.form, .text) {
            case .unchanged?:
                frames[Int(each.rawValue)].append(.text, payload: numbered.payload)
            case .object?:
                if !settings.echo, each.rawValue == senderProtocol?.rawValue, let sender {
                    let frame = frames[Int(each.rawValue)].frameEnds.count
                    exclusions.append(Delivery.Exclusion(excluded: .sender(sender), frame: frame))
                }
                if !isWritten { text.write(numbered, quotedChannel: room.quotedName) }
                isWritten = true
                text.withBytes { frames[Int(each.rawValue)].append(.text, payload: $0) }
            case nil:
                break
            }
        }
        if settings.keepsHistory { room.changeHistory { $0.append(numbered) } }
    }

    /// Adds a receipt for the message that was published last.
    func append(_ receipt: Receipt) { receipts.append(receipt) }

    /// Whether messages are numbered: a client gets their numbers, has done so before, or may ask for them later.
    private var isNumbered: Bool {
        room != nil || settings.keepsHistory || !encodings.isDisjoint(with: .anyNumbered)
    }

    /// Whether messages wait to be handed over.
    var hasDelivery: Bool { messageCount > 0 }

    /// The size in bytes of the frames that wait to be handed over: in total, and of the protocol with the larger
    /// frames.
    var deliveryByteCount: Int { frames.indices.reduce(0) { $0 + frames[$1].count } }
    var largestDeliveryByteCount: Int { frames.indices.reduce(0) { max($0, frames[$1].count) } }

    /// Takes the waiting messages and their receipts. `nanoseconds` is a time of the monotonic clock.
    func takeDelivery(at nanoseconds: UInt64) -> (Delivery, [Receipt]) {
        var segments = ClientProtocol.Table<Segment?>(repeating: nil)
        for index in frames.indices where !frames[index].isEmpty { segments[index] = frames[index].finish() }
        var delivery = Delivery(segments, for: encodings)
        delivery.exclusions = exclusions
        activity.note(messageCount, at: nanoseconds)
        let receipts = receipts
        messageCount = 0
        exclusions = []
        self.receipts = []
        return (delivery, receipts)
    }

    // MARK: Members

    /// Adds a connection, and tells the other members if its user is new. False if the channel is full.
    func enter(_ user: String, at now: Int64, _ text: inout MessageText) -> Bool {
        let room = madeRoom()
        guard settings.maxMembers == 0 || room.memberCount < settings.maxMembers else { return false }
        if settings.isTracked { room.memberCount += 1 }
        if settings.tracksPresence, room.presence.enter(user, at: now) { noteChange(.join, user, at: now, &text) }
        return true
    }

    /// Counts a connection that joined the channel before counting began.
    ///
    /// - Parameter generation: the configuration under which the connection was counted; 0 if it wasn't.
    func recount(_ user: String, at now: Int64, countedUnder generation: UInt32) {
        guard generation < countedSince else { return }
        let room = madeRoom()
        room.memberCount += 1
        // A user who was here all the time is not announced, until the user leaves.
        guard settings.tracksPresence, room.presence.enter(user, at: now) else { return }
        shared?.note(
            PresenceChange(
                channel: name, user: user, isPresent: true, isAnnounced: settings.joinLeave, isSilent: true, time: now))
    }

    /// Removes a connection, and tells the other members if its user has gone.
    ///
    /// - Parameters:
    ///   - isLost: the connection broke, so that the user may be back in a moment.
    ///   - generation: the configuration under which the connection was counted.
    func leave(
        _ user: String, isLost: Bool, at now: Int64, countedUnder generation: UInt32, _ text: inout MessageText
    ) {
        guard let room, generation >= countedSince else { return }
        room.memberCount = max(0, room.memberCount - 1)
        guard settings.tracksPresence, room.presence.leave(user, at: now, isLost: isLost) else { return }
        noteChange(.leave, user, at: now, &text)
    }

    /// Drops messages that are too old, and removes users that have not come back.
    func expire(at now: Int64, _ text: inout MessageText) {
        guard let room else { return }
        room.changeHistory { $0.expire(now: now) }
        for user in room.presence.expire(now: now) { noteChange(.leave, user, at: now, &text) }
    }

    /// Tells the members, or the broker, which knows whether the user is in the channel on another node too.
    private func noteChange(_ change: MessageText.Change, _ user: String, at now: Int64, _ text: inout MessageText) {
        guard shared != nil else {
            announce(change, user, at: now, &text)
            return
        }
        shared?.note(
            PresenceChange(
                channel: name, user: user, isPresent: change == .join, isAnnounced: settings.joinLeave, time: now))
    }

    /// Tells the members that a user has come or gone, except the user's own connections: where a broker says it, these may
    /// be members by then.
    func announce(_ change: MessageText.Change, _ user: String, at now: Int64, _ text: inout MessageText) {
        guard settings.joinLeave, let room else { return }
        let isHere = shared != nil && room.presence.contains(user)
        tellNumbered(&text, except: isHere ? user : nil) {
            $0.write(change, of: user, quotedChannel: room.quotedName, at: now)
        }
    }

    /// Sends a text without a number to the members whose protocol knows more than messages.
    ///
    /// - Parameter user: a user who does not get it.
    func tellNumbered(_ text: inout MessageText, except user: String? = nil, _ write: (inout MessageText) -> Void) {
        guard !encodings.isDisjoint(with: .anyNumbered) else { return }
        messageCount += 1
        write(&text)
        encodings.intersection(.anyNumbered).forEachProtocol { each in
            if let user {
                let frame = frames[Int(each.rawValue)].frameEnds.count
                exclusions.append(Delivery.Exclusion(excluded: .user(user, each), frame: frame))
            }
            text.withBytes { frames[Int(each.rawValue)].append(.text, payload: $0) }
        }
    }

    // MARK: Answers

    /// The channel's position, for a connection that joins or asks again, and the messages that it missed since another
    /// position: nil if it asks for none, missed none, or not all of them are kept.
    func place(since: MessagePosition?, at now: Int64) -> JoinReply.Outcome {
        let room = madeRoom()
        let missed: (isRecoverable: Bool, slice: HistorySlice?) =
            since.map { room.missed(since: $0, at: now) } ?? (false, nil)
        return .joined(epoch: room.epoch, seq: room.seq, isRecovered: missed.isRecoverable, missed: missed.slice)
    }

    /// Writes the answer to a member's question.
    ///
    /// - Parameter users: the users in the channel on all nodes; nil: those here.
    func answer(
        _ question: Question, users: [(user: String, connections: Int, since: Int64)]? = nil, at now: Int64,
        _ text: inout MessageText
    ) {
        let room = madeRoom()
        question.id.withUnsafeBytes { text.beginAck($0, quotedChannel: room.quotedName) }
        switch question.subject {
        case .presence:
            text.append(users: users ?? room.presence.users)
        case .history(let before, let limit):
            room.changeHistory { $0.expire(now: now) }
            text.append(MessagePosition(epoch: room.epoch, seq: room.seq))
            text.append(
                history: room.history, quotedChannel: room.quotedName, before: before, limit: limit)
        }
        text.append("}")
    }

    func madeRoom() -> Room {
        if let room { return room }
        let made = Room(name: name, settings: settings, cost: history)
        room = made
        return made
    }
}
