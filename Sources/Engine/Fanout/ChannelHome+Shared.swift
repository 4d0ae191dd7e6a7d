import Base
import Broker
import Channels
import Settings
import WebSocket

/// A channel that a broker shares between nodes: what this node publishes goes to the broker, and what the broker
/// delivers, this node's own messages included, is placed in the broker's order.
extension ChannelHome {
    /// Takes the text of an answer to a request, and the connection that it is for.
    typealias Acknowledge = (ConnectionReference, UnsafeRawBufferPointer) -> Void

    /// Adds a publication to what goes to the broker next. Returns the size by which that has grown, in bytes.
    func submit(_ publication: Publication, receipt: Receipt?, at now: Int64, _ nanoseconds: UInt64) -> Int {
        let kind: CarriedPublication.Kind =
            switch publication.form {
            case _ where publication.opcode != .text: .binary
            case .chatText: .chatText
            case .chatJSON: .chatJSON
            case .systemText: .systemText
            case .systemJSON: .systemJSON
            }
        return shared?.append(publication, as: kind, receipt: receipt, at: now, nanoseconds) ?? 0
    }

    /// The limits of the history that the broker keeps; nil if it is to keep none.
    var historyLimits: HistoryLimits? {
        settings.keepsHistory ? settings.historyLimits : nil
    }

    // MARK: What the broker delivers

    /// The batches of a history that members here have not got: if the channel was live before in this numbering.
    func missed(of history: [DeliveredBatch], until position: MessagePosition) -> [DeliveredBatch] {
        guard let room, room.epoch == position.epoch else { return [] }
        let seq = room.seq
        return history.filter { $0.position.seq > seq }
    }

    /// Takes over the channel's state.
    func adopt(_ position: MessagePosition, _ history: [DeliveredBatch], at now: Int64) {
        let room = madeRoom()
        room.move(to: position)
        if settings.keepsHistory { Self.replaceHistory(of: room, by: history, at: now) }
    }

    private static func replaceHistory(of room: Room, by history: [DeliveredBatch], at now: Int64) {
        room.changeHistory { kept in
            kept.removeAll()
            for batch in history { forEach(batch) { publication, _ in kept.append(publication) } }
            kept.expire(now: now)
        }
    }

    /// How the numbers of a batch go on from those before.
    enum Continuation: Equatable {
        /// They follow the last one, or the batch has none.
        case next
        /// They have all been there.
        case past
        /// Those up to this position are missing.
        case after(MessagePosition)
    }

    /// How a batch goes on from what members here have got.
    func continuation(of batch: DeliveredBatch) -> Continuation {
        guard batch.numberedCount > 0 else { return .next }
        let before = MessagePosition(epoch: batch.position.epoch, seq: batch.firstSeq &- 1)
        guard let room, room.epoch == before.epoch else { return .after(before) }
        if batch.position.seq <= room.seq { return .past }
        return before.seq > room.seq ? .after(before) : .next
    }

    /// Places the publications of a batch, except those whose numbers have been there.
    ///
    /// - Parameter own: the batch as this node published it.
    func deliver(_ batch: DeliveredBatch, _ own: SharedChannel.Batch?, _ text: inout MessageText) {
        let room = madeRoom()
        let last = room.seq
        let entries = own?.entries ?? []
        var index = 0
        Self.forEach(batch) { numbered, carried in
            let entry = index < entries.count ? entries[index] : nil
            index += 1
            if let carried {
                take(carried, &text)
            } else if numbered.seq > last {
                place(numbered, from: entry?.sender, entry?.senderProtocol, in: room, &text)
            }
        }
        if batch.numberedCount > 0 { room.move(to: batch.position) }
    }

    /// Places a publication without a number.
    private func take(_ publication: CarriedPublication, _ text: inout MessageText) {
        switch publication.kind {
        case .binary:
            placeUnnumbered(.chatText, .binary, publication.payload)
        case .join, .leave:
            announce(
                publication.kind == .join ? .join : .leave, String(decoding: publication.user, as: UTF8.self),
                at: publication.time, &text)
        case .chatText, .chatJSON, .systemText, .systemJSON:
            break
        }
    }

    /// Passes the publications of a batch to `body`: with its number, or, if it has none, as it was carried. What
    /// another program has published and clients could not read becomes a `null`, so that no number is missing.
    private static func forEach(
        _ batch: DeliveredBatch, _ body: (NumberedPublication, CarriedPublication?) -> Void
    ) {
        var seq = batch.firstSeq &- 1
        _ = PublicationReader.forEach(batch.publications) { carried in
            if carried.kind.isNumbered { seq &+= 1 }
            let time = min(max(carried.time, 0), lastTime)
            guard batch.node != nil || isReadable(carried) else {
                guard carried.kind.isNumbered else { return }
                nothing.withUnsafeBytes { null in
                    let noName = UnsafeRawBufferPointer(start: nil, count: 0)
                    body(
                        NumberedPublication(.systemJSON, seq: seq, time: time, from: noName, payload: null), nil)
                }
                return
            }
            let form: NumberedPublication.Form =
                switch carried.kind {
                case .chatText, .binary, .join, .leave: .chatText
                case .chatJSON: .chatJSON
                case .systemText: .systemText
                case .systemJSON: .systemJSON
                }
            body(
                NumberedPublication(form, seq: seq, time: time, from: carried.user, payload: carried.payload),
                carried.kind.isNumbered ? nil : carried)
        }
    }

    private static let nothing = Array("null".utf8)
    /// The last millisecond of the year 9999, which messages of other programs may pretend to be later than.
    private static let lastTime: Int64 = 253_402_300_799_999

    private static func isReadable(_ publication: CarriedPublication) -> Bool {
        guard String(validating: publication.user, as: UTF8.self) != nil else { return false }
        return switch publication.kind {
        case .chatText, .systemText: String(validating: publication.payload, as: UTF8.self) != nil
        case .chatJSON, .systemJSON: RequestReader.isJSONValue(publication.payload)
        case .binary, .join, .leave: true
        }
    }

    /// Tells the members that messages up to a position may be missing, and goes on from there.
    ///
    /// - Parameter history: what the broker keeps, if the numbering has begun anew.
    func lose(
        to position: MessagePosition, _ history: [DeliveredBatch] = [], at now: Int64, _ text: inout MessageText
    ) {
        let room = madeRoom()
        room.move(to: position)
        if settings.keepsHistory, !history.isEmpty { Self.replaceHistory(of: room, by: history, at: now) }
        let place = MessagePosition(epoch: room.epoch, seq: room.seq)
        tellNumbered(&text) { $0.writeGap(quotedChannel: room.quotedName, place, at: now) }
    }

    // MARK: Answers to publishers

    /// Acknowledges the requests of a batch that the broker has taken.
    func acknowledge(_ batch: SharedChannel.Batch, _ text: inout MessageText, _ acknowledge: Acknowledge) {
        guard !batch.ids.isEmpty else { return }
        let room = madeRoom()
        batch.forEachRequest { sender, id, time, position in
            guard let position else { return }
            text.writeAck(id, quotedChannel: room.quotedName, position, at: time)
            text.withBytes { acknowledge(sender, $0) }
        }
    }

    /// Refuses the requests of a batch that the broker has not taken.
    func refuse(
        _ batch: SharedChannel.Batch, _ refusal: BrokerRefusal, _ text: inout MessageText, _ acknowledge: Acknowledge
    ) {
        let room = madeRoom()
        batch.forEachRequest { sender, id, _, _ in
            text.writeError(id, .unavailable, refusal.message, quotedChannel: room.quotedName)
            text.withBytes { acknowledge(sender, $0) }
        }
    }
}

extension BrokerRefusal {
    /// The text for a client.
    var message: String {
        isUncertain
            ? "the message may not have been published: \(reason)" : "the message was not published: \(reason)"
    }
}
