import Rooms
import WebSocket

/// A channel at its home: the one order of its messages, who is in it, and what is kept of it.
///
/// It does no I/O: what it has to say to the members waits as frames until `takeDelivery`, and what it says to one connection
/// is handed to the caller. Times are milliseconds since 1970. Belongs to one worker's thread.
final class ChannelHome {
    let name: String
    private(set) var settings: ChannelSettings
    /// The configuration since which members are counted as they are now.
    private(set) var countedSince: UInt32 = 0
    /// What the `json` protocol needs; made when it is first needed.
    private(set) var room: Room?
    private let history: HistoryCost

    /// What has its place and has not been handed over, encoded once for each protocol that somebody uses.
    private var relayFrames: SegmentBuilder
    private var jsonFrames: SegmentBuilder
    /// How many messages these are.
    private var messageCount = 0
    /// The connections that do not get a message of their own back.
    private var exclusions: [Delivery.Exclusion] = []
    /// Those who are told how many connections the messages go to.
    private(set) var receipts: [Receipt] = []
    /// Those who follow the channel without being in it.
    var followers: [Follower] = []
    private(set) var activity = Activity()

    /// The encodings that subscribers on this worker use, those included that are being let in.
    var encodingsHere: Encoding.Set = []
    /// A bit for each other worker with subscribers, and the encodings that these use, by worker and in all.
    private(set) var interested: UInt64 = 0
    private var encodingsByWorker: [Int: Encoding.Set] = [:]
    private var encodingsAbroad: Encoding.Set = []

    init(name: String, settings: ChannelSettings, frames: ByteMeter, history: HistoryCost) {
        self.name = name
        self.settings = settings
        self.history = history
        relayFrames = SegmentBuilder(frames)
        jsonFrames = SegmentBuilder(frames)
    }

    /// Whether nobody would miss it, once nobody on this worker is in the channel.
    var isUnused: Bool {
        interested == 0 && !hasDelivery && followers.isEmpty && room?.isForgettable ?? true
    }

    /// Other settings hold from now on. Where they count members differently, counting begins anew.
    func apply(_ new: ChannelSettings, generation: UInt32, at now: Int64) {
        if new.tracksPresence != settings.tracksPresence || new.isTracked != settings.isTracked {
            countedSince = generation
            room?.forgetMembers()
        }
        settings = new
        room?.presence.leaveDelay = new.leaveDelay
        room?.changeHistory { $0.setLimits(new.history, now: now) }
    }

    // MARK: Who hears it

    /// The encodings in use anywhere.
    var encodings: Encoding.Set {
        let inUse = encodingsHere.union(encodingsAbroad)
        return followers.isEmpty ? inUse : inUse.union(Encoding.Set(.relay))
    }

    /// Another worker's subscribers use these encodings from now on; none: it has no subscribers.
    func setEncodings(_ encodings: Encoding.Set, ofWorker worker: Int) {
        encodingsByWorker[worker] = encodings.isEmpty ? nil : encodings
        interested = encodingsByWorker.keys.reduce(0) { $0 | 1 << UInt64($1) }
        encodingsAbroad = encodingsByWorker.values.reduce([]) { $0.union($1) }
    }

    // MARK: Messages

    /// Gives a message its place in the channel's order: all messages come by here, whoever publishes them. Returns the
    /// place, where it has a number: messages that can't be said in JSON have none, nor those of channels without a room.
    ///
    /// - Parameter acknowledge: is handed the answer to a request that has an id.
    @discardableResult
    func publish(
        _ publication: Publication, at now: Int64, _ text: inout MessageText,
        acknowledge: (ConnectionID, UnsafeRawBufferPointer) -> Void
    ) -> MessagePosition? {
        messageCount += 1
        let encodings = encodings
        let isForRelay = !encodings.isDisjoint(with: .anyRelay)
        let isForJSON = !encodings.isDisjoint(with: .anyJSON)
        if publication.origin != .json {
            if isForRelay { relayFrames.append(publication.opcode, payload: publication.data) }
            guard publication.opcode == .text, isNumbered else { return nil }
        }
        let room = madeRoom()
        let position = room.next()
        if let sender = publication.sender, !publication.id.isEmpty {
            text.writeAck(publication.id, quotedChannel: room.quotedName, position, at: now)
            text.withBytes { acknowledge(sender, $0) }
        }
        text.write(publication, quotedChannel: room.quotedName, seq: position.seq, at: now)
        // A message that nobody hears as JSON is nobody's to leave out.
        if publication.origin == .json, !settings.echo, isForJSON, let sender = publication.sender {
            exclusions.append(Delivery.Exclusion(connection: sender, frame: jsonFrames.frameEnds.count))
        }
        text.withBytes { object in
            // Clients of the relay protocol see the whole object.
            if publication.origin == .json, isForRelay { relayFrames.append(.text, payload: object) }
            if isForJSON { jsonFrames.append(.text, payload: object) }
            if settings.keepsHistory { room.changeHistory { $0.append(seq: position.seq, at: now, object) } }
        }
        return position
    }

    /// Has somebody told what becomes of the message that was published last.
    func append(_ receipt: Receipt) { receipts.append(receipt) }

    /// Whether messages are numbered: somebody hears them as `json`, has done so, or may ask for them later.
    private var isNumbered: Bool {
        room != nil || settings.keepsHistory || !encodings.isDisjoint(with: .anyJSON)
    }

    /// Whether something waits to be handed over.
    var hasDelivery: Bool { messageCount > 0 }

    /// The bytes of what waits to be handed over: all of them, and of the larger protocol.
    var deliveryByteCount: Int { relayFrames.count + jsonFrames.count }
    var largestDeliveryByteCount: Int { max(relayFrames.count, jsonFrames.count) }

    /// Takes what waits to be handed over, with those who are to be told where it goes. `nanoseconds` is of the monotonic
    /// clock.
    func takeDelivery(at nanoseconds: UInt64) -> (Delivery, [Receipt]) {
        var delivery = Delivery(
            relay: relayFrames.isEmpty ? nil : relayFrames.finish(),
            json: jsonFrames.isEmpty ? nil : jsonFrames.finish(), for: encodings)
        delivery.exclusions = exclusions
        activity.note(messageCount, at: nanoseconds)
        let receipts = receipts
        messageCount = 0
        exclusions = []
        self.receipts = []
        return (delivery, receipts)
    }

    // MARK: Members

    /// Lets a connection in, and tells the others where its user has not been here. False where the channel is full.
    func enter(_ user: String, at now: Int64, _ text: inout MessageText) -> Bool {
        let room = madeRoom()
        guard settings.maximumMembers == 0 || room.memberCount < settings.maximumMembers else { return false }
        if settings.isTracked { room.memberCount += 1 }
        if settings.tracksPresence, room.presence.enter(user, at: now) { announce(.join, user, at: now, &text) }
        return true
    }

    /// Counts a connection that has been in the channel since before counting began.
    ///
    /// - Parameter generation: the configuration under which it was counted; 0 where it wasn't.
    func recount(_ user: String, at now: Int64, countedUnder generation: UInt32) {
        guard generation < countedSince else { return }
        let room = madeRoom()
        room.memberCount += 1
        // A user who was here all the time hasn't come.
        if settings.tracksPresence { _ = room.presence.enter(user, at: now) }
    }

    /// A connection is gone; the others are told where its user is.
    ///
    /// - Parameters:
    ///   - isLost: it broke, so that the user may be back in a moment.
    ///   - generation: the configuration under which it was counted.
    func leave(
        _ user: String, isLost: Bool, at now: Int64, countedUnder generation: UInt32, _ text: inout MessageText
    ) {
        guard let room, generation >= countedSince else { return }
        room.memberCount = max(0, room.memberCount - 1)
        guard settings.tracksPresence, room.presence.leave(user, at: now, isLost: isLost) else { return }
        announce(.leave, user, at: now, &text)
    }

    /// Forgets what is too old, and gives up users who have not come back.
    func expire(at now: Int64, _ text: inout MessageText) {
        guard let room else { return }
        room.changeHistory { $0.expire(now: now) }
        for user in room.presence.expire(now: now) { announce(.leave, user, at: now, &text) }
    }

    private func announce(_ change: MessageText.Change, _ user: String, at now: Int64, _ text: inout MessageText) {
        guard settings.joinLeave, !encodings.isDisjoint(with: .anyJSON), let room else { return }
        messageCount += 1
        text.write(change, of: user, quotedChannel: room.quotedName, at: now)
        text.withBytes { jsonFrames.append(.text, payload: $0) }
    }

    // MARK: Answers

    /// Where the channel is, for a connection that is let in or asks again, and what it missed since a position: nil where
    /// it asks for nothing or what is between is not kept.
    func place(since: MessagePosition?, at now: Int64) -> JoinReply.Outcome {
        let room = madeRoom()
        let missed: (isRecoverable: Bool, slice: HistorySlice?) =
            since.map { room.missed(since: $0, at: now) } ?? (false, nil)
        return .joined(epoch: room.epoch, seq: room.seq, isRecovered: missed.isRecoverable, missed: missed.slice)
    }

    /// Writes the answer to a member's question.
    func answer(_ question: Question, at now: Int64, _ text: inout MessageText) {
        let room = madeRoom()
        text.beginAck(question.id, quotedChannel: room.quotedName)
        switch question.subject {
        case .presence:
            text.append(users: room.presence.users)
        case .history(let before, let limit):
            room.changeHistory { $0.expire(now: now) }
            text.append(MessagePosition(epoch: room.epoch, seq: room.seq))
            text.append(history: room.history, before: before, limit: limit)
        }
        text.append("}")
    }

    private func madeRoom() -> Room {
        if let room { return room }
        let made = Room(name: name, settings: settings, cost: history)
        room = made
        return made
    }
}
