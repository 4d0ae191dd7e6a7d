import CLinux
import Rooms
import WebSocket

/// Another configuration for connections and channels that are there.
extension Worker {
    /// Goes by the configurations that have come since the last turn. Nothing is in the middle of anything here.
    func reconfigure() {
        guard !nextConfigurations.isEmpty else { return }
        for (next, receipt) in nextConfigurations {
            apply(next)
            receipt.answer(())
        }
        nextConfigurations = []
    }

    private func apply(_ next: EngineConfiguration) {
        let last = configuration
        configuration = next
        flushDelay = Worker.nanoseconds(next.flushDelay)
        if next.compressionLevel != last.compressionLevel { deflater = Deflater(level: next.compressionLevel) }
        let bufferByteCount = Worker.bufferByteCount(next)
        if bufferByteCount != buffer.count {
            buffer.deallocate()
            buffer = .allocate(byteCount: bufferByteCount, alignment: 64)
        }
        channels.rules = next.channelRules
        for index in channels.indices { applyRules(index) }
        shedHistory()
        for slot in 0..<slab.highWater { apply(next, after: last, slot, slab[slot]) }
    }

    private func applyRules(_ index: UInt32) {
        guard let channel = channels.find(index) else { return }
        let settings = configuration.channelRules.settings(for: channel.name)
        guard settings != channel.settings else { return }
        // What was published goes by what held then.
        distribute(channel)
        let now = clinux_realtime_milliseconds()
        channel.apply(settings, generation: configuration.generation)
        if let room = channel.room {
            changeHistory(room) { $0.setLimits(settings.history, now: now) }
            noteDeadline(room)
        }
        channels.removeIfUnused(index)
    }

    private func apply(
        _ next: EngineConfiguration, after last: EngineConfiguration, _ slot: Int,
        _ record: UnsafeMutablePointer<Connection>
    ) {
        let phase = record.pointee.phase
        guard phase != .free, phase != .dead else { return }
        if !context.admission.countsAddresses {
            record.pointee.flags.remove(.addressCounted)
        } else if record.pointee.flags.intersection([.admitted, .addressCounted]) == .admitted {
            context.admission.note(record.pointee.address)
            record.pointee.flags.insert(.addressCounted)
        }
        guard phase == .open else { return }
        if next.messagesPerSecond != last.messagesPerSecond || next.messageBurst != last.messageBurst {
            record.pointee.tokens = Float(burst)
            record.pointee.tokensAt = now
        }
        if next.errorsPerMinute != last.errorsPerMinute, let session = record.pointee.session {
            session.pointee.errorTokens = Float(next.errorsPerMinute)
            session.pointee.errorTokensAt = now
        }
        armOpen(slot, record)
    }

    /// Every worker goes by the configuration now. Who is in a channel whose home has begun to count anew is counted
    /// there, and who may not be in one any more leaves it.
    func recount() {
        for slot in 0..<slab.highWater {
            let record = slab[slot]
            guard record.pointee.phase == .open, let session = record.pointee.session else { continue }
            for place in session.pointee.memberships.indices {
                let membership = session.pointee.memberships[place]
                guard membership.state == .joined, membership.generation < channels[membership.channel].countedSince
                else { continue }
                let channel = channels[membership.channel]
                let isTracked = channel.settings.isTracked
                session.pointee.memberships[place].generation = isTracked ? configuration.generation : 0
                guard isTracked else { continue }
                let name = name(of: session.pointee.identity, slot, record)
                if channel.home == index {
                    countMember(name, channel)
                } else {
                    context.handles[channel.home].mailbox.post(.count(channel: channel.name, name: name))
                }
            }
            leaveWhatIsNotGranted(slot, record, session, reason: "the channel is not open to you any more")
        }
    }

    /// At the home: a member from before the counting began.
    func countMember(_ name: String, _ channel: Channel) {
        let room = room(channel)
        room.memberCount += 1
        guard channel.settings.tracksPresence else { return }
        // Who was here all the time hasn't come.
        _ = room.presence.enter(name, at: clinux_realtime_milliseconds())
    }
}
