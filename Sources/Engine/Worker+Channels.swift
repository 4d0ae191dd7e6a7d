import WebSocket

extension Worker {
    /// A batch beyond this size is handed over at once instead of at the turn's end.
    private static let batchByteCount = 1024 * 1024

    func subscribe(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, to name: String) {
        let index = channels.intern(name)
        let channel = channels[index]
        // What was published before the subscription is not for the newcomer.
        distribute(channel)
        record.pointee.channel = index
        changeSubscribers(channel) { record.pointee.channelPosition = channel.add(slot, record.pointee.encoding) }
    }

    /// Tells the channel's home where the change brings or takes away the last use of an encoding here.
    private func changeSubscribers(_ channel: Channel, _ change: () -> Void) {
        let before = channel.encodings
        change()
        guard channel.encodings != before, channel.home != index else { return }
        context.handles[channel.home].mailbox.post(
            .interest(channel: channel.name, worker: index, channel.encodings))
    }

    /// Ends a connection's subscriptions; what was published before still reaches it.
    func leaveChannels(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        let index = record.pointee.channel
        guard index != Connection.noChannel else { return }
        let channel = channels[index]
        distribute(channel)
        record.pointee.channel = Connection.noChannel
        changeSubscribers(channel) {
            if let moved = channel.remove(at: record.pointee.channelPosition, record.pointee.encoding) {
                slab[Int(moved)].pointee.channelPosition = record.pointee.channelPosition
            }
        }
        channels.removeIfUnused(index)
    }

    /// Publishes a connection's message to its channel.
    func publish(_ record: UnsafeMutablePointer<Connection>, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer) {
        let index = record.pointee.channel
        let channel = channels[index]
        if channel.batch.isEmpty { published.append(index) }
        channel.batch.append(opcode, payload: payload)
        if channel.home != self.index { record.pointee.flags.insert(.publishedAbroad) }
        if channel.batch.count > Worker.batchByteCount { distribute(channel) }
    }

    /// Another worker's messages for a channel whose home this is: here they get their place in its order.
    func publish(_ segment: Segment, channel name: String, receipt: Gather<Int>?) {
        let index = channels.intern(name)
        let channel = channels[index]
        if let receipt {
            distribute(channel)
            deliver(segment, of: channel, receipt: receipt)
            channels.removeIfUnused(index)
            return
        }
        if channel.batch.isEmpty { published.append(index) }
        channel.batch.append(segment)
        if channel.batch.count > Worker.batchByteCount { distribute(channel) }
    }

    /// Hands over what was published: at the turn's end, or, at a channel's home, when `flush_delay` has passed.
    func distributePublished() {
        guard !published.isEmpty else { return }
        if flushDelay > 0, nanoseconds < flushAt ?? .max {
            distributeAbroad()
            flushAt = published.isEmpty ? nil : flushAt ?? nanoseconds + flushDelay
            return
        }
        flushAt = nil
        for index in published { distribute(publishedIn: index) }
        published.removeAll(keepingCapacity: true)
    }

    /// Messages wait only once, at the home of their channel.
    private func distributeAbroad() {
        published.removeAll { index in
            if channels.find(index)?.home == self.index { return false }
            distribute(publishedIn: index)
            return true
        }
    }

    private func distribute(publishedIn index: UInt32) {
        // A channel may be gone since, and its index may be another's by now: both are harmless here.
        guard let channel = channels.find(index) else { return }
        distribute(channel)
        channels.removeIfUnused(index)
    }

    /// Sends a channel's batch on its way: from its home to every subscriber, from elsewhere to its home.
    func distribute(_ channel: Channel) {
        guard !channel.batch.isEmpty else { return }
        let segment = channel.batch.finish()
        if channel.home == index {
            deliver(segment, of: channel, receipt: nil)
        } else {
            context.handles[channel.home].mailbox.post(.publish(channel: channel.name, segment, nil))
        }
    }

    /// At the home: one order for the subscribers here and on every other worker.
    private func deliver(_ segment: Segment, of channel: Channel, receipt: Gather<Int>?) {
        receipt?.expect(channel.interested.nonzeroBitCount)
        let publication = publication(segment, for: channel.encodings.union(channel.encodingsAbroad))
        var others = channel.interested
        while others != 0 {
            let worker = others.trailingZeroBitCount
            others &= others - 1
            context.handles[worker].mailbox.post(.deliver(channel: channel.name, publication, receipt))
        }
        receipt?.answer(channel.subscribers.count)
        deliverHere(publication, of: channel)
    }

    /// Queues a publication for every subscriber on this worker, each in its encoding.
    func deliverHere(_ publication: Publication, of channel: Channel) {
        guard !channel.subscribers.isEmpty else { return }
        let messages = UInt64(publication.plain.messageCount)
        let plain = turn.add(publication.plain)
        let count = publication.plain.count
        if publication.isPlain {
            for slot in channel.subscribers {
                let record = slab[Int(slot)]
                record.pointee.messagesOut &+= messages
                turn.push(plain, start: 0, end: count, to: record, slot: Int(slot))
            }
        } else {
            var choices = Encoding.Table<(number: UInt32, count: Int)>(repeating: (plain, count))
            for encoding in channel.encodings.deflating {
                let segment = publication[encoding]
                choices[Int(encoding.rawValue)] = (turn.add(segment), segment.count)
            }
            for slot in channel.subscribers {
                let record = slab[Int(slot)]
                let choice = choices[Int(record.pointee.encoding.rawValue)]
                record.pointee.messagesOut &+= messages
                turn.push(choice.number, start: 0, end: choice.count, to: record, slot: Int(slot))
            }
        }
        statistics.messagesOut &+= messages &* UInt64(channel.subscribers.count)
    }

    /// Whether messages of this connection's own are still on their way through their channel's home. Then a fence goes
    /// after them, and its return says that they have come back: a client that sends and closes sees its message first.
    func awaitsOwnMessages(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) -> Bool {
        guard record.pointee.flags.contains(.publishedAbroad), record.pointee.channel != Connection.noChannel else {
            return false
        }
        let channel = channels[record.pointee.channel]
        guard channel.home != index else { return false }
        distribute(channel)
        context.handles[channel.home].mailbox.post(.fence(channel: channel.name, id(slot, record)))
        return true
    }
}
