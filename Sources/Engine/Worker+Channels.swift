import WebSocket

extension Worker {
    /// A batch beyond this size is handed over at once instead of at the turn's end.
    private static let batchByteCount = 1024 * 1024

    func subscribe(_ slot: Int, _ record: UnsafeMutablePointer<Connection>, to name: String) {
        let index = channels.intern(name)
        let channel = channels[index]
        record.pointee.channel = index
        record.pointee.channelPosition = channel.add(slot)
        if channel.subscribers.count == 1, channel.home != self.index {
            context.handles[channel.home].mailbox.post(.subscribe(channel: name, worker: self.index))
        }
    }

    /// Ends a connection's subscriptions; what was published before still reaches it.
    func leaveChannels(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        let index = record.pointee.channel
        guard index != Connection.noChannel else { return }
        let channel = channels[index]
        distribute(channel)
        record.pointee.channel = Connection.noChannel
        if let moved = channel.remove(at: record.pointee.channelPosition) {
            slab[Int(moved)].pointee.channelPosition = record.pointee.channelPosition
        }
        guard channel.subscribers.isEmpty else { return }
        if channel.home != self.index {
            context.handles[channel.home].mailbox.post(.unsubscribe(channel: channel.name, worker: self.index))
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

    /// Hands over what was published in this turn.
    func distributePublished() {
        guard !published.isEmpty else { return }
        for index in published {
            // A channel may be gone since, and its index may be another's by now: both are harmless here.
            guard let channel = channels.find(index) else { continue }
            distribute(channel)
            channels.removeIfUnused(index)
        }
        published.removeAll(keepingCapacity: true)
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
        var others = channel.interested
        while others != 0 {
            let worker = others.trailingZeroBitCount
            others &= others - 1
            context.handles[worker].mailbox.post(.deliver(channel: channel.name, segment, receipt))
        }
        receipt?.answer(channel.subscribers.count)
        deliverHere(segment, of: channel)
    }

    /// Queues a segment for every subscriber on this worker.
    func deliverHere(_ segment: Segment, of channel: Channel) {
        guard !channel.subscribers.isEmpty else { return }
        let number = turn.add(segment)
        let count = segment.count
        let messages = UInt64(segment.messageCount)
        for slot in channel.subscribers {
            let record = slab[Int(slot)]
            record.pointee.messagesOut &+= messages
            turn.push(number, start: 0, end: count, to: record, slot: Int(slot))
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
