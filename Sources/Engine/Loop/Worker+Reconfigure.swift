import CLinux
import Channels
import Settings
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
        outbox.flushDelay = WorkerClock.nanoseconds(next.server.flushDelay)
        if next.websocket.compressionLevel != last.websocket.compressionLevel {
            outbox.deflater = Deflater(level: next.websocket.compressionLevel)
        }
        // The buffer never shrinks: the beginning of a head that some connection keeps has to fit.
        ingress.reserve(bufferByteCount: Worker.bufferByteCount(next))
        channels.rules = next.channelRules
        channels.generation = next.generation
        for index in channels.indices { applyRules(index) }
        shedHistory()
        for slot in 0..<slab.highWater { apply(next, after: last, slab[slot]) }
    }

    private func applyRules(_ index: UInt32) {
        guard let channel = channels.find(index) else { return }
        let settings = configuration.channelRules.settings(for: channel.name)
        guard settings != channel.settings else { return }
        // Earlier messages are delivered under the earlier settings.
        distribute(channel)
        let now = clinux_realtime_milliseconds()
        let limits = channel.home?.historyLimits
        channel.apply(settings, generation: configuration.generation, at: now)
        if let home = channel.home {
            if let room = home.room { noteDeadline(room) }
            if home.historyLimits != limits { reload(channel, home) }
            markShared(channel, home)
        }
        channels.removeIfUnused(index)
    }

    private func apply(
        _ next: EngineConfiguration, after last: EngineConfiguration, _ connection: Connection
    ) {
        let phase = connection.phase
        guard phase.isLive else { return }
        if !context.admission.countsAddresses {
            connection.flags.subtract([.addressCounted, .openingCounted, .endingCounted])
        } else if connection.flags.intersection([.admitted, .addressCounted]) == .admitted {
            if context.admission.note(connection.address) { connection.flags.insert(.addressCounted) }
        }
        guard phase == .open else { return }
        if next.limits.messagesPerSecond != last.limits.messagesPerSecond
            || next.limits.effectiveBurst != last.limits.effectiveBurst
        {
            connection.messageBucket = RateBucket(holding: burst, now: now)
        }
        if next.limits.errorsPerMinute != last.limits.errorsPerMinute, let session = connection.session {
            session.errorBucket = RateBucket(holding: next.limits.errorsPerMinute, now: now)
        }
        if next.websocket.pingInterval != last.websocket.pingInterval
            || next.websocket.pongTimeout != last.websocket.pongTimeout
        {
            grantTimeToAnswer(connection)
        }
        armOpen(connection)
    }

    /// Treats a connection that has been silent for longer than the new interval as silent for about that interval, so
    /// that it gets a ping and the whole time for its pong. The pings are spread over several turns. At a restart, too, the
    /// interval may be a new one.
    func grantTimeToAnswer(_ connection: Connection) {
        let interval = clock.ticks(configuration.websocket.pingInterval)
        guard configuration.websocket.pingInterval > .zero, now &- connection.lastReceived > interval else { return }
        connection.lastReceived = now &- interval &+ UInt32(truncatingIfNeeded: connection.slot) % max(1, interval / 4)
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
            let connection = slab[slot]
            guard connection.phase == .open else { continue }
            if lacksToken(connection.session?.identity) {
                beginClose(connection, .notPermitted, .unauthorized, Worker.tokenNeeded, then: .closing)
            } else if connection.channel != Connection.noChannel {
                closeWhereNotGranted(connection)
            } else if let session = connection.session {
                recount(connection, session)
                leaveWhatIsNotGranted(connection, session, reason: Worker.closedToYou)
            }
        }
    }

    private func recount(
        _ connection: Connection, _ session: Boxed<Session>
    ) {
        let identity = session.identity
        session.memberships.forEach { membership in
            let channel = channels[membership.channel]
            // A home that answered before it applied the configuration may have counted under the previous one.
            guard membership.state == .joined,
                membership.generation < max(channel.countedSince, channel.knownSince)
            else { return }
            let isTracked = channel.settings.isTracked
            let before = membership.generation
            membership.generation = isTracked ? configuration.generation : 0
            guard isTracked else { return }
            let name = name(of: identity, connection)
            if let home = channel.home {
                defer { markShared(channel, home) }
                home.recount(name, at: clinux_realtime_milliseconds(), countedUnder: before)
            } else {
                context.handles[channel.homeWorker].mailbox.post(
                    .home(.count(channel: channel.name, name: name, generation: before)))
            }
        }
    }

    /// Closes a `relay` client that may no longer be in its endpoint's channel, because it can't be in another.
    private func closeWhereNotGranted(_ connection: Connection) {
        let identity = connection.session?.identity ?? Identity()
        let channel = channels[connection.channel]
        guard !identity.maySubscribe(to: channel.name, channel.settings) else { return }
        beginClose(connection, .notPermitted, .forbidden, Worker.closedToYou, then: .closing)
    }
}
