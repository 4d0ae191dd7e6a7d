import CLinux
import Channels
import Glibc
import Settings
import WebSocket

extension Worker {
    /// Reads once from a connection and processes the input.
    func receive(_ connection: Connection) {
        guard !holdsBack(connection) else {
            if connection.flags.contains(.heavy), connection.flags.isDisjoint(with: .waiting) { return }
            // A connection that has to wait leaves its further input in the socket.
            connection.flags.insert(.holdsInput)
            setInterest(connection)
            return
        }
        // An incomplete head is copied to the front of the buffer, so that the parser gets contiguous bytes.
        var kept = 0
        if let head = connection.head {
            kept = head.count
            ingress.buffer.copyBytes(from: head)
        }
        let secure = secureLink(connection)
        let start = ingress.work
        let count: Int
        let target = UnsafeMutableRawBufferPointer(rebasing: ingress.buffer[kept...])
        switch secure.map({ receive(connection, $0, behind: kept) }) ?? connection.link.receive(into: target) {
        case .bytes(let received): count = received
        case .none: return
        case .end:
            peerShut(connection)
            return
        case .lost:
            end(connection, cause: .reset)
            return
        }
        // A client that got its 101 before these bytes were sent has to get the messages in them. Its worker posted the
        // subscription before it sent the 101, so the message is here by now, though perhaps not yet read.
        if handle.mailbox.hasMessages { takeMessages() }
        // Likewise, a client that was told that it has left a channel is no longer in it for anybody who asks afterwards.
        takeHomeMessages()
        guard connection.phase != .dead else { return }
        // Opening bytes is not counted here, but many small records are.
        let before = start + min(count, ingress.work - start)
        ingress.work += count
        connection.lastReceived = now
        connection.bytesIn &+= UInt64(count)
        telemetry.statistics.bytesIn &+= UInt64(count)
        switch connection.phase {
        case .handshake:
            let bytes = UnsafeMutableRawBufferPointer(rebasing: ingress.buffer[..<(kept + count)])
            continueHandshake(connection, bytes, scannedCount: kept)
        case .open, .closing:
            if connection.flags.contains(.pinged) {
                connection.flags.remove(.pinged)
                if connection.phase == .open { armOpen(connection) }
            }
            readFrames(connection, UnsafeMutableRawBufferPointer(rebasing: ingress.buffer[..<count]))
            noteWork(ingress.work - before, connection)
        case .admitting, .fenced, .finishing, .lingering, .free, .dead:
            break
        }
        noticeSecureEnd(connection)
    }

    /// Handles the end of the peer's input that came together with data inside TLS: the socket says nothing of it.
    func noticeSecureEnd(_ connection: Connection) {
        guard connection.phase != .dead, connection.phase != .free, let secure = secureLink(connection),
            secure.value.peerHasClosed, !holdsBack(connection), !connection.flags.contains(.peerShut)
        else { return }
        peerShut(connection)
    }

    /// Handles the end of the peer's input.
    private func peerShut(_ connection: Connection) {
        switch connection.phase {
        case .finishing, .fenced:
            // The peer may still read the queued output.
            connection.flags.insert(.peerShut)
            setInterest(connection)
        default:
            end(connection, cause: .peerGone)
        }
    }

    /// Processes the frames of new input, or of input that the connection holds. The connection keeps the rest when it
    /// has to wait or has used up its share of the turn.
    func readFrames(
        _ connection: Connection, _ bytes: UnsafeMutableRawBufferPointer
    ) {
        let input = connection.input ?? ingress.idleInput
        var limits = FrameReader.Limits(maximumMessageByteCount: configuration.websocket.maxMessageByteCount)
        limits.allowsCompression = !connection.encoding.isPlain
        var rest = bytes
        let share = min(ingress.work + Worker.connectionShare, max(ingress.work, Worker.workBudget))
        reading: while true {
            if connection.phase == .open {
                if mustWait(connection) { break reading }
                if ingress.work > share, !rest.isEmpty {
                    schedule(connection)
                    break reading
                }
            }
            switch input.value.reader.next(&rest, limits: limits) {
            case .needsMore:
                break reading
            case .message(let opcode, let payload, let isCompressed):
                telemetry.statistics.framesIn[Int(opcode.rawValue)] &+= 1
                input.value.unfinishedSince = Slab.never
                received(connection, opcode, UnsafeRawBufferPointer(payload), isCompressed: isCompressed)
            case .ping(let payload):
                telemetry.statistics.framesIn[Int(Opcode.ping.rawValue)] &+= 1
                if connection.phase == .open { send(.pong, UnsafeRawBufferPointer(payload), connection) }
            case .pong:
                telemetry.statistics.framesIn[Int(Opcode.pong.rawValue)] &+= 1
            case .close(let code, let reason):
                telemetry.statistics.framesIn[Int(Opcode.close.rawValue)] &+= 1
                receivedClose(connection, code, UnsafeRawBufferPointer(reason))
            case .failure(let code, let reason):
                failed(connection, code, reason)
            }
            ingress.work += Worker.frameWork
            // Input after a close frame or a protocol error is not read.
            guard connection.phase.readsFrames else {
                abandon(input, connection)
                return
            }
        }
        input.value.reader.releaseDelivered()
        telemetry.statistics.framesIn[Int(Opcode.continuation.rawValue)] &+= input.value.reader.takeContinuationCount()
        input.value.held.keep(rest)
        keep(input, connection)
    }

    /// The work of a frame besides its bytes: some 60 ns.
    private static let frameWork = 32

    /// Leaves unfinished or held input with its connection; idle input serves the next connection.
    private func keep(
        _ input: Boxed<PartialInput>, _ connection: Connection
    ) {
        if input.value.isIdle {
            guard connection.input != nil else { return }
            abandon(input, connection)
            return
        }
        if connection.input == nil { takeIdleInput(connection) }
        countInput(input)
        if input.value.reader.isIdle {
            input.value.unfinishedSince = Slab.never
        } else if input.value.unfinishedSince == Slab.never {
            input.value.unfinishedSince = now
            setDeadline(connection, min(slab.deadlines[connection.slot], messageDeadline(connection)))
        }
    }

    /// Gives the shared idle input to a connection, and makes a new one.
    func takeIdleInput(_ connection: Connection) {
        connection.input = ingress.idleInput
        ingress.idleInput = Boxed(PartialInput())
    }

    /// Updates the account with the memory of a connection's input.
    func countInput(_ input: Boxed<PartialInput>) {
        let byteCount = input.value.byteCount + MemoryLayout<PartialInput>.stride
        context.account.input.add(byteCount - input.value.counted)
        input.value.counted = byteCount
    }

    private func abandon(_ input: Boxed<PartialInput>, _ connection: Connection) {
        if input.isSame(as: ingress.idleInput) {
            input.value = PartialInput()
        } else {
            dropInput(connection)
        }
    }

    func dropInput(_ connection: Connection) {
        guard let input = connection.input else { return }
        connection.input = nil
        context.account.input.add(-input.value.counted)
        input.free()
    }

    private func received(
        _ connection: Connection, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer,
        isCompressed: Bool
    ) {
        guard connection.phase == .open else { return }
        connection.messagesIn &+= 1
        telemetry.statistics.messagesIn &+= 1
        guard takeToken(connection) else {
            let reason = "more than \(configuration.limits.messagesPerSecond) messages a second"
            beginClose(connection, .rateLimited, .policyViolation, reason, then: .finishing)
            return
        }
        guard let message = isCompressed ? inflate(connection, opcode, payload) : payload else { return }
        if isCompressed { ingress.work += message.count }
        act(on: message, opcode, connection)
    }

    /// Processes a message of an open connection according to its protocol.
    func act(
        on message: UnsafeRawBufferPointer, _ opcode: Opcode, _ connection: Connection
    ) {
        switch configuration.endpoints[Int(connection.endpoint)].protocol {
        case .relay: relay(connection, opcode, message)
        case .json: request(connection, opcode, message)
        }
    }

    /// Publishes a `relay` client's message in its channel, if the client may publish there.
    private func relay(
        _ connection: Connection, _ opcode: Opcode, _ message: UnsafeRawBufferPointer
    ) {
        let channel = channels[connection.channel]
        let access = channel.settings.publish
        if access != .anyone {
            let identity = connection.session?.identity ?? Identity()
            guard identity.mayPublish(to: channel.name, channel.settings) else {
                beginClose(
                    connection, .notPermitted, .forbidden, "you may not publish in this channel", then: .closing)
                return
            }
        }
        publish(connection, opcode, message)
    }

    /// The number of messages that a connection may send at once.
    var burst: Int { configuration.limits.effectiveBurst }

    /// Whether `limits.messages_per_second` allows one more message.
    private func takeToken(_ connection: Connection) -> Bool {
        guard configuration.limits.messagesPerSecond > 0 else { return true }
        return connection.messageBucket.take(rate: Float(configuration.limits.messagesPerSecond), most: burst, now: now)
    }

    private func receivedClose(
        _ connection: Connection, _ code: CloseCode?, _ reason: UnsafeRawBufferPointer
    ) {
        connection.flags.insert(.handshakeClosed)
        guard connection.phase == .open else {
            // This is the answer to our own close frame: the closing handshake is complete.
            finish(connection)
            return
        }
        connection.cause = .peerClosed
        connection.closeCode = (code ?? .noStatus).rawValue
        report(connection, String(decoding: reason, as: UTF8.self))
        closeBehindOwnMessages(connection)
    }

    /// Fails a connection whose peer broke a rule: sends the reason and reads no further.
    func failed(
        _ connection: Connection, _ code: CloseCode, _ reason: StaticString
    ) {
        guard connection.phase == .open else {
            finish(connection)
            return
        }
        let cause: CloseCause
        var text = reason.description
        switch code {
        case .invalidData: cause = .invalidData
        case .messageTooBig:
            cause = .messageTooBig
            text += " of \(configuration.websocket.maxMessageByteCount) bytes"
        default: cause = .protocolError
        }
        beginClose(connection, cause, code, text, then: .finishing)
    }
}
