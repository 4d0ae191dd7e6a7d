import CLinux
import Rooms
import WebSocket

/// Changes of the configuration for existing connections and channels.
extension Worker {
    /// Applies the configurations that have arrived since the last turn. No connection or channel is being processed
    /// here.
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
        // The buffer never shrinks: the beginning of a head that some connection keeps has to fit.
        if bufferByteCount > buffer.count {
            buffer.deallocate()
            buffer = .allocate(byteCount: bufferByteCount, alignment: 64)
        }
        channels.rules = next.channelRules
        channels.generation = next.generation
        for index in channels.indices { applyRules(index) }
        shedHistory()
        for slot in 0..<slab.highWater { apply(next, after: last, slot, slab[slot]) }
    }

    private func applyRules(_ index: UInt32) {
        guard let channel = channels.find(index) else { return }
        let settings = configuration.channelRules.settings(for: channel.name)
        guard settings != channel.settings else { return }
        // Earlier messages are delivered under the earlier settings.
        distribute(channel)
        let now = clinux_realtime_milliseconds()
        channel.apply(settings, generation: configuration.generation, at: now)
        if let room = channel.home?.room { noteDeadline(room) }
        channels.removeIfUnused(index)
    }

    private func apply(
        _ next: EngineConfiguration, after last: EngineConfiguration, _ slot: Int,
        _ record: UnsafeMutablePointer<Connection>
    ) {
        let phase = record.pointee.phase
        guard phase != .free, phase != .dead else { return }
        if !context.admission.countsAddresses {
            record.pointee.flags.subtract([.addressCounted, .openingCounted])
        } else if record.pointee.flags.intersection([.admitted, .addressCounted]) == .admitted {
            if context.admission.note(record.pointee.address) { record.pointee.flags.insert(.addressCounted) }
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
        if next.pingInterval != last.pingInterval || next.pongTimeout != last.pongTimeout {
            grantTimeToAnswer(slot, record)
        }
        armOpen(slot, record)
    }

    /// Treats a connection that has been silent for longer than the new interval as silent for about that interval, so
    /// that it gets a ping and the whole time for its pong. The pings are spread over several turns.
    private func grantTimeToAnswer(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        let interval = ticks(configuration.pingInterval)
        guard configuration.pingInterval > .zero, now &- record.pointee.lastReceived > interval else { return }
        record.pointee.lastReceived = now &- interval &+ UInt32(slot) % max(1, interval / 4)
    }

    private static let closedToYou = "the channel is not open to you any more"
    private static let tokenNeeded = "this server asks for a token now"

    /// Whether tokens are mandatory and this identity has none.
    func lacksToken(_ identity: Identity?) -> Bool { configuration.verifyToken != nil && identity?.user == nil }

    /// Completes a reload, after every worker has applied the configuration: counts members in channels whose home has
    /// begun to count anew, removes clients from channels that they may no longer be in, and closes connections without
    /// a mandatory token.
    func recount() {
        for slot in 0..<slab.highWater {
            let record = slab[slot]
            guard record.pointee.phase == .open else { continue }
            if lacksToken(record.pointee.session?.pointee.identity) {
                beginClose(slot, record, .notPermitted, .unauthorized, Worker.tokenNeeded, then: .closing)
            } else if record.pointee.channel != Connection.noChannel {
                closeWhereNotGranted(slot, record)
            } else if let session = record.pointee.session {
                recount(slot, record, session)
                leaveWhatIsNotGranted(slot, record, session, reason: Worker.closedToYou)
            }
        }
    }

    private func recount(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ session: UnsafeMutablePointer<Session>
    ) {
        for place in session.pointee.memberships.indices {
            let membership = session.pointee.memberships[place]
            let channel = channels[membership.channel]
            // A home that answered before it applied the configuration may have counted under the previous one.
            guard membership.state == .joined,
                membership.generation < max(channel.countedSince, channel.knownSince)
            else { continue }
            let isTracked = channel.settings.isTracked
            session.pointee.memberships[place].generation = isTracked ? configuration.generation : 0
            guard isTracked else { continue }
            let name = name(of: session.pointee.identity, slot, record)
            if let home = channel.home {
                home.recount(name, at: clinux_realtime_milliseconds(), countedUnder: membership.generation)
            } else {
                context.handles[channel.homeWorker].mailbox.post(
                    .count(channel: channel.name, name: name, generation: membership.generation))
            }
        }
    }

    /// Closes a `relay` client that may no longer be in its endpoint's channel, because it can't be in another.
    private func closeWhereNotGranted(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        let identity = record.pointee.session?.pointee.identity ?? Identity()
        let channel = channels[record.pointee.channel]
        guard !identity.maySubscribe(to: channel.name, channel.settings) else { return }
        beginClose(slot, record, .notPermitted, .forbidden, Worker.closedToYou, then: .closing)
    }
}
