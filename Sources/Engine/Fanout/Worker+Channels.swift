import Base
import CLinux
import Channels
import Settings
import WebSocket

extension Worker {
    /// The size in bytes beyond which a batch is handed over at once instead of at the turn's end.
    static let batchByteCount = 1024 * 1024

    /// Publishes a `relay` client's message to its channel.
    func publish(
        _ connection: Connection, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer
    ) {
        let index = connection.channel
        let channel = channels[index]
        guard !isCongested(channel) else {
            hold(payload, opcode, connection)
            return
        }
        countEncoding(payload.count, channel)
        if channel.homeWorker != self.index || context.broker != nil { connection.flags.insert(.publishedRemotely) }
        publish(
            Publication(
                form: .chatText, opcode: opcode, senderProtocol: connection.encoding.clientProtocol,
                sender: reference(to: connection), data: payload), channel,
            at: nanoseconds)
    }

    /// Publishes a message: at its channel's home, it gets its position in the order; on another worker, it is sent to
    /// the home at the turn's end.
    func publish(_ publication: Publication, _ channel: Channel, at time: UInt64) {
        if let home = channel.home {
            publish(publication, channel, home, at: time)
        } else {
            channel.batch.append(publication)
            markPublished(channel, at: time)
        }
        distributeIfLarge(channel)
    }

    @discardableResult
    private func publish(
        _ publication: Publication, _ channel: Channel, _ home: ChannelHome, at time: UInt64
    ) -> MessagePosition? {
        guard home.shared == nil else {
            submit(publication, channel, home, receipt: nil, at: time)
            return nil
        }
        let now = clinux_realtime_milliseconds()
        let position = home.publish(publication, at: now, &outbox.text) { answer($1, to: $0) }
        markPublished(channel, at: time)
        if position != nil { noteHistory(channel, home, at: now) }
        return position
    }

    /// Publishes messages in a channel whose home is this worker.
    ///
    /// - Parameter receipt: the receipt for an operator's message, to report the number of recipients.
    func publish(_ batch: PublicationBatch, channel name: String, at time: UInt64, receipt: Receipt?) {
        let index = channels.intern(name)
        let channel = channels[index]
        countEncoding(batch.byteCount, channel)
        if let home = channel.home {
            var receipt = receipt
            batch.forEach { publication in
                guard home.shared == nil else {
                    submit(publication, channel, home, receipt: receipt, at: time)
                    receipt = nil
                    return
                }
                let position = publish(publication, channel, home, at: time)
                if channel.settings.keepsHistory { receipt?.position = position }
                if receipt == nil { distributeIfLarge(channel) }
            }
            if let receipt {
                home.append(receipt)
                distributeIfLarge(channel)
            }
        }
        context.account.batches.add(-batch.byteCount)
        channels.removeIfUnused(index)
    }

    private func distributeIfLarge(_ channel: Channel) {
        let byteCount = channel.home?.largestDeliveryByteCount ?? channel.batch.byteCount
        if byteCount > Worker.batchByteCount { distribute(channel) }
    }

    /// Counts the work that a message causes: deflating it takes some 10 ns per byte and window, and sending it to many
    /// takes time per byte once the delivery is large.
    func countEncoding(_ byteCount: Int, _ channel: Channel) {
        guard let home = channel.home else { return }
        if home.deliveryByteCount > Worker.cheapByteCount {
            ingress.work += (byteCount + Worker.frameByteCount) * channel.subscribers.count / 2
        }
        guard byteCount >= configuration.websocket.compressionThresholdByteCount else { return }
        ingress.work +=
            8 * byteCount * Worker.deflateCount(messageOf: byteCount, windows: home.encodings.deflatingCount)
    }

    /// The size in bytes up to which a send costs little more than one of a few bytes.
    private static let cheapByteCount = 16 * 1024
    /// The approximate size of a `json` frame besides its data.
    private static let frameByteCount = 128

    /// Marks a channel so that its published messages are handed over at the turn's end.
    ///
    /// - Parameter time: the time at which the first message came, in nanoseconds of the monotonic clock.
    func markPublished(_ channel: Channel, at time: UInt64) {
        guard !channel.isMarked, channel.isPublished else { return }
        channel.isMarked = true
        channel.publishedAt = time
        outbox.published.append(channel.index)
    }

    /// Hands over the published messages: at the turn's end, or, at a channel's home, when `flush_delay` has passed.
    func distributePublished() {
        if !outbox.published.isEmpty {
            if outbox.flushDelay > 0, nanoseconds < outbox.flushAt ?? .max {
                distributeHurried()
                outbox.flushAt = outbox.published.isEmpty ? nil : outbox.flushAt ?? nanoseconds + outbox.flushDelay
            } else {
                outbox.flushAt = nil
                for index in outbox.published { distribute(publishedIn: index) }
                outbox.published.removeAll(keepingCapacity: true)
            }
        }
        for (home, channel, connection) in outbox.pendingFences {
            context.handles[home].mailbox.post(.home(.fenceAnswers(connection, channel: channel)))
        }
        outbox.pendingFences.removeAll(keepingCapacity: true)
        postAnswers()
    }

    /// Hands over the messages that don't wait for `flush_delay`: messages wait only at the home of their channel, and
    /// only if nobody waits for a receipt.
    private func distributeHurried() {
        outbox.published.removeAll { index in
            if let channel = channels.find(index), channel.home?.receipts.isEmpty ?? false {
                return false
            }
            distribute(publishedIn: index)
            return true
        }
    }

    private func distribute(publishedIn index: UInt32) {
        // The channel may be gone, and its index may be another channel's by now: both are harmless here.
        guard let channel = channels.find(index) else { return }
        distribute(channel)
        channels.removeIfUnused(index)
    }

    /// Sends a channel's messages on: from its home to all subscribers, from another worker to its home.
    func distribute(_ channel: Channel) {
        guard channel.isPublished else { return }
        channel.isMarked = false
        if let home = channel.home {
            deliver(channel, home)
            return
        }
        let mailbox = context.handles[channel.homeWorker].mailbox
        context.account.batches.add(channel.batch.byteCount)
        mailbox.post(.home(.publish(channel: channel.name, channel.batch, at: channel.publishedAt, nil)))
        channel.batch = PublicationBatch()
    }

    /// Delivers a channel's messages from its home, in one order for the subscribers here and on all other workers.
    private func deliver(_ channel: Channel, _ home: ChannelHome) {
        let encodings = home.encodings
        var (delivery, receipts) = home.takeDelivery(at: nanoseconds)
        delivery.publishedAt = channel.publishedAt
        for receipt in receipts { receipt.replies.expect(home.interested.nonzeroBitCount) }
        compress(&delivery, for: encodings)
        // Publishers get their answers before their messages come back.
        postAnswers()
        home.interested.forEachBit { post(.connections(.deliver(channel: channel.name, delivery, receipts)), to: $0) }
        if let segment = delivery[Encoding(.ofFollowers)] { for follower in home.followers { follower.take(segment) } }
        let count = deliverHere(delivery, of: channel)
        for receipt in receipts { receipt.answer(count) }
    }

    /// Queues messages for every subscriber on this worker, each in its encoding. Returns the number of recipients.
    func deliverHere(_ delivery: Delivery, of channel: Channel) -> Int {
        guard !channel.subscribers.isEmpty else { return 0 }
        outbox.sentOn.append(delivery.publishedAt)
        let exclusions = delivery.exclusions.isEmpty ? [:] : mark(delivery.exclusions, in: channel)
        // A client that has joined since the home encoded the messages may use another protocol.
        if let segment = delivery.common, exclusions.isEmpty, delivery.serves(channel.encodings) {
            let number = outbox.turn.add(segment)
            let messages = UInt64(segment.messageCount)
            for slot in channel.subscribers {
                let connection = slab[Int(slot)]
                connection.messagesOut &+= messages
                outbox.turn.push(number, start: 0, end: segment.count, to: connection)
            }
            countSent(segment, times: channel.subscribers.count)
            return channel.subscribers.count
        }
        var reached = 0
        var numbers = Encoding.Table<UInt32?>(repeating: nil)
        for slot in channel.subscribers {
            let connection = slab[Int(slot)]
            let encoding = connection.encoding
            guard let segment = delivery[encoding] else { continue }
            let number = numbers[Int(encoding.rawValue)] ?? outbox.turn.add(segment)
            numbers[Int(encoding.rawValue)] = number
            reached += 1
            if connection.flags.contains(.excluded) {
                deliver(segment, number, without: exclusions[connection.slot] ?? [], connection)
                continue
            }
            connection.messagesOut &+= UInt64(segment.messageCount)
            countSent(segment)
            outbox.turn.push(number, start: 0, end: segment.count, to: connection)
        }
        if !exclusions.isEmpty { unmark(exclusions) }
        return reached
    }

    /// Counts a segment's messages as sent to `times` connections.
    @inline(__always)
    func countSent(_ segment: Segment, times: Int = 1) {
        telemetry.statistics.messagesOut &+= UInt64(segment.messageCount &* times)
        telemetry.statistics.binaryOut &+= UInt64(segment.binaryCount &* times)
    }

    /// Marks the connections here that don't get all frames of a delivery. Returns the excluded frames of each, by
    /// slot.
    private func mark(_ exclusions: [Delivery.Exclusion], in channel: Channel) -> [Int: ContiguousArray<Int>] {
        var frames: [Int: ContiguousArray<Int>] = [:]
        func exclude(_ connection: Connection, from frame: Int) {
            connection.flags.insert(.excluded)
            frames[connection.slot, default: []].append(frame)
        }
        for exclusion in exclusions {
            switch exclusion.excluded {
            case .sender(let sender):
                guard Int(sender.worker) == index, let connection = slab.find(sender) else { continue }
                exclude(connection, from: exclusion.frame)
            case .user(let user, let clientProtocol):
                for slot in channel.subscribers {
                    let connection = slab[Int(slot)]
                    guard connection.encoding.clientProtocol.rawValue == clientProtocol.rawValue,
                        let identity = connection.session?.identity,
                        Name(name(of: identity, connection)) == Name(user)
                    else { continue }
                    exclude(connection, from: exclusion.frame)
                }
            }
        }
        return frames
    }

    private func unmark(_ exclusions: [Int: ContiguousArray<Int>]) {
        for slot in exclusions.keys {
            // As a single expression, Swift 6.3 compiles this to code that LLVM refuses under ThreadSanitizer.
            let connection = slab[slot]
            connection.flags.remove(.excluded)
        }
    }

    /// Queues the frames between a sender's own messages.
    private func deliver(
        _ segment: Segment, _ number: UInt32, without frames: ContiguousArray<Int>, _ connection: Connection
    ) {
        var start = 0
        var count = segment.messageCount
        for frame in frames where frame < segment.frameEnds.count {
            let frameStart = frame > 0 ? segment.frameEnds[frame - 1] : 0
            if frameStart > start { outbox.turn.push(number, start: start, end: frameStart, to: connection) }
            start = segment.frameEnds[frame]
            count -= 1
        }
        if segment.count > start { outbox.turn.push(number, start: start, end: segment.count, to: connection) }
        connection.messagesOut &+= UInt64(max(0, count))
        telemetry.statistics.messagesOut &+= UInt64(max(0, count))
    }

    /// Whether the connection's own messages are still on their way through their channel's home. If so, a fence is
    /// sent after them, and its return means that they have come back, so that a client that sends and closes gets its
    /// message first.
    func awaitsOwnMessages(_ connection: Connection) -> Bool {
        guard connection.flags.contains(.publishedRemotely), connection.channel != Connection.noChannel else {
            return false
        }
        let channel = channels[connection.channel]
        guard channel.homeWorker != index || channel.home?.shared != nil else { return false }
        distribute(channel)
        context.handles[channel.homeWorker].mailbox.post(
            .home(.fence(channel: channel.name, reference(to: connection))))
        return true
    }
}
