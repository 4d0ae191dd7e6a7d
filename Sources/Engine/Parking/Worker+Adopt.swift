import Base
import CLinux
import Channels
import Glibc
import Settings
import Synchronization
import TLSRecords
import WebSocket

/// Taking over connections of an earlier process, before the worker's thread begins.
extension Worker {
    /// Takes over a connection whose request is not complete. It is a new one but for the bytes that have come.
    func adopt(_ socket: ParkedSocket, _ parked: ParkedConnection, head: [UInt8]) -> Bool {
        handle.load.add(1, ordering: .relaxed)
        guard
            let connection = adopt(
                socket.descriptor, address: parked.address, port: parked.port, isSecure: parked.secure != nil,
                isTakenOver: true)
        else { return false }
        guard head.count <= configuration.server.maxHeaderByteCount else {
            end(connection, cause: .internalError)
            return false
        }
        if !head.isEmpty { head.withUnsafeBytes { keepHead(connection, $0) } }
        takeSecure(parked.secure, connection)
        return true
    }

    /// Takes over an open WebSocket; false if there is no room for it.
    func adopt(
        _ socket: ParkedSocket, _ parked: ParkedConnection, _ open: ParkedConnection.Open, endpoint: Int,
        _ names: [String]
    ) -> Bool {
        let link = Link(socket.descriptor)
        guard let connection = slab.allocate(link, address: parked.address, port: parked.port, id: open.id) else {
            return false
        }
        let clientProtocol = configuration.endpoints[endpoint].protocol
        connection.advance(.requested)
        connection.advance(.opened)
        connection.flags.insert(
            context.admission.adopt(parked.address) ? [.admitted, .addressCounted, .opened] : [.admitted, .opened])
        if open.isPinged { connection.flags.insert(.pinged) }
        connection.encoding = Encoding(clientProtocol, windowBits: open.windowBits) ?? Encoding(clientProtocol)
        connection.endpoint = UInt16(endpoint)
        connection.userAgent = telemetry.userAgents.retain(open.userAgent)
        connection.lastReceived = open.lastReceived
        connection.connectedAt = open.connectedAt
        connection.messagesIn = open.messagesIn
        connection.messagesOut = open.messagesOut
        connection.bytesIn = open.bytesIn
        connection.bytesOut = open.bytesOut
        connection.dropped = open.dropped
        connection.messageBucket = open.messageBucket
        handle.load.add(1, ordering: .relaxed)
        telemetry.statistics.connections += 1
        telemetry.connectionsByEndpoint[endpoint, default: 0] += 1
        takeSecure(parked.secure, connection)
        takeInput(open.input, connection)
        takeBacklog(open.backlog, connection)
        enterChannels(open, connection, clientProtocol, names)
        let isWatched = link.watch(by: epoll, for: EPOLLIN, tag: connection.tag)
        if isWatched { setInterest(connection) } else { end(connection, cause: .internalError) }
        guard isWatched else { return true }
        grantTimeToAnswer(connection)
        armOpen(connection)
        return true
    }

    /// The last records for a connection that is not taken over: a close frame and the end of its TLS. Empty without TLS, or
    /// if something that is partly sent is in the way.
    func lastRecords(_ parked: ParkedConnection, _ open: ParkedConnection.Open, _ reason: String) -> [UInt8] {
        guard let link = parked.secure, link.value.isEstablished, !link.value.hasSentClose, link.value.rest.isEmpty,
            open.bytesOut > 0, !(open.backlog?.isTorn ?? false)
        else { return [] }
        secure.prepare()
        let (arena, ciphers) = (secure.arena, secure.ciphers)
        var frame = ParkedSocket.closeFrame(reason)
        return frame.withUnsafeMutableBytes { frame in
            var piece = iovec(iov_base: frame.baseAddress, iov_len: frame.count)
            return withUnsafePointer(to: &piece) { piece in
                let pieces = UnsafeBufferPointer(start: piece, count: 1)
                guard let first = try? link.value.records.seal(pieces, into: arena, with: ciphers) else { return [] }
                let rest = UnsafeMutableRawBufferPointer(rebasing: arena[first...])
                let last = (try? link.value.records.seal(.closeNotify, into: rest, with: ciphers)) ?? 0
                return Array(arena[..<(first + last)])
            }
        }
    }

    private func takeSecure(_ link: Boxed<SecureLink>?, _ connection: Connection) {
        guard let link else { return }
        dropSecureLink(connection)
        connection.flags.insert(.secure)
        slab.secureLinks[connection.slot] = link
        context.account.input.add(link.value.partial.count)
        context.account.frames.add(link.value.rest.count)
        secure.prepare()
        // Its end comes behind the input that it holds, and the socket says nothing of it.
        if link.value.peerHasClosed { schedule(connection) }
        guard !link.value.rest.isEmpty, connection.phase == .handshake else { return }
        _ = beginBacklog(connection)
        awaitWritable(connection)
    }

    private func takeInput(_ input: Boxed<PartialInput>?, _ connection: Connection) {
        guard let input else { return }
        connection.input = input
        countInput(input)
        if input.value.deferred != nil || !input.value.held.isEmpty { schedule(connection) }
    }

    private func takeBacklog(_ backlog: Backlog?, _ connection: Connection) {
        let backlog = backlog ?? (holdsSealed(connection) ? Backlog(now: now) : nil)
        guard let backlog, !backlog.isEmpty || holdsSealed(connection) else { return }
        connection.backlog = Unmanaged.passRetained(backlog)
        connection.flags.insert(.awaitsWritable)
        telemetry.statistics.slowConsumers += 1
        telemetry.statistics.queuedBytes += backlog.byteCount
        telemetry.statistics.queuedMessages += backlog.frameCount
    }

    private func enterChannels(
        _ open: ParkedConnection.Open, _ connection: Connection, _ clientProtocol: ClientProtocol, _ names: [String]
    ) {
        func enter(_ number: Int) -> (index: UInt32, position: UInt32) {
            let index = channels.intern(names[number])
            channels[index].reserve(connection.encoding)
            telemetry.statistics.subscriptions += 1
            return (index, channels[index].admit(connection.slot))
        }
        if let number = open.channel, !clientProtocol.hasRequests {
            (connection.channel, connection.channelPosition) = enter(number)
        }
        guard var session = open.session else { return }
        let before = session.memberships.all
        session.memberships = Memberships()
        for membership in before {
            let (index, position) = enter(Int(membership.channel))
            session.memberships.enter(
                Membership(
                    channel: index, position: position, generation: membership.generation,
                    startSeq: membership.startSeq, droppedBefore: membership.droppedBefore))
        }
        connection.session = Boxed(session)
    }

    /// Notes the deadlines of the rooms that have been taken over, and forgets channels that nobody needs.
    func completeAdoption() {
        // Those that have been quiet longest come first, and lose their history first.
        let known = channels.indices.compactMap { channels.find($0) }
        let kept = known.filter { $0.home?.room.map { $0.history.count > 0 } ?? false }
        for (channel, time) in kept.map({ ($0, $0.home?.room?.history.newestTime ?? 0) }).sorted(by: { $0.1 < $1.1 }) {
            if let home = channel.home { noteHistory(channel, home, at: time) }
        }
        // `shedHistory` may have removed some.
        for channel in known where channels.find(channel.index) != nil {
            if let room = channel.home?.room { noteDeadline(room) }
            keepSubscribed(channel)
            channels.removeIfUnused(channel.index)
        }
    }
}
