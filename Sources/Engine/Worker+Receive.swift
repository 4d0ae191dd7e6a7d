import CLinux
import Glibc
import Rooms
import WebSocket

extension Worker {
    /// Reads once from a connection and processes the input.
    func receive(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard !holdsBack(record) else {
            if record.pointee.flags.contains(.heavy), record.pointee.flags.isDisjoint(with: .waiting) { return }
            // A connection that has to wait leaves its further input in the socket.
            record.pointee.flags.insert(.holdsInput)
            setInterest(slot, record)
            return
        }
        // An incomplete head is copied to the front of the buffer, so that the parser gets contiguous bytes.
        var kept = 0
        if let head = record.pointee.head {
            kept = head.pointee.count
            buffer.baseAddress!.copyMemory(from: head.pointee.bytes, byteCount: kept)
        }
        let count: Int
        switch record.pointee.link.receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[kept...])) {
        case .bytes(let received): count = received
        case .none: return
        case .end:
            peerShut(slot, record)
            return
        case .lost:
            end(slot, record, cause: .reset)
            return
        }
        // A client that got its 101 before these bytes were sent has to get the messages in them. Its worker posted the
        // subscription before it sent the 101, so the letter is here by now, though perhaps not yet read.
        if handle.mailbox.hasLetters { takeLetters() }
        // Likewise, a client that was told that it has left a channel is no longer in it for anybody who asks afterwards.
        takeHomeward()
        guard record.pointee.phase != .dead else { return }
        let before = work
        work += count
        record.pointee.lastReceived = now
        record.pointee.bytesIn &+= UInt64(count)
        statistics.bytesIn &+= UInt64(count)
        switch record.pointee.phase {
        case .handshake:
            let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(kept + count)])
            continueHandshake(slot, record, bytes, scannedCount: kept)
        case .open, .closing:
            if record.pointee.flags.contains(.pinged) {
                record.pointee.flags.remove(.pinged)
                if record.pointee.phase == .open { armOpen(slot, record) }
            }
            readFrames(slot, record, UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
            noteWork(work - before, record)
        case .admitting, .fenced, .finishing, .lingering, .free, .dead:
            break
        }
    }

    /// Handles the end of the peer's input.
    private func peerShut(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        switch record.pointee.phase {
        case .finishing, .fenced:
            // The peer may still read the queued output.
            record.pointee.flags.insert(.peerShut)
            setInterest(slot, record)
        default:
            end(slot, record, cause: .peerGone)
        }
    }

    /// Processes the frames of new input, or of input that the connection holds. The connection keeps the rest when it
    /// has to wait or has used up its share of the turn.
    func readFrames(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ bytes: UnsafeMutableRawBufferPointer
    ) {
        let input = record.pointee.input ?? idleInput
        var limits = FrameReader.Limits(maximumMessageByteCount: configuration.maximumMessageByteCount)
        limits.allowsCompression = !record.pointee.encoding.isPlain
        var rest = bytes
        let share = min(work + Worker.connectionShare, max(work, Worker.workBudget))
        reading: while true {
            if record.pointee.phase == .open {
                if mustWait(slot, record) { break reading }
                if work > share, !rest.isEmpty {
                    schedule(slot, record)
                    break reading
                }
            }
            switch input.pointee.reader.next(&rest, limits: limits) {
            case .needsMore:
                break reading
            case .message(let opcode, let payload, let isCompressed):
                statistics.framesIn[Int(opcode.rawValue)] &+= 1
                input.pointee.unfinishedSince = Slab.never
                received(slot, record, opcode, UnsafeRawBufferPointer(payload), isCompressed: isCompressed)
            case .ping(let payload):
                statistics.framesIn[Int(Opcode.ping.rawValue)] &+= 1
                if record.pointee.phase == .open { send(.pong, UnsafeRawBufferPointer(payload), slot, record) }
            case .pong:
                statistics.framesIn[Int(Opcode.pong.rawValue)] &+= 1
            case .close(let code, let reason):
                statistics.framesIn[Int(Opcode.close.rawValue)] &+= 1
                receivedClose(slot, record, code, UnsafeRawBufferPointer(reason))
            case .failure(let code, let reason):
                failed(slot, record, code, reason)
            }
            work += Worker.frameWork
            // Input after a close frame or a protocol error is not read.
            guard record.pointee.phase.readsFrames else {
                abandon(input, record)
                return
            }
        }
        input.pointee.reader.releaseDelivered()
        statistics.framesIn[Int(Opcode.continuation.rawValue)] &+= input.pointee.reader.takeContinuationCount()
        input.pointee.held.keep(rest)
        keep(input, slot, record)
    }

    /// The work of a frame besides its bytes: some 60 ns.
    private static let frameWork = 32

    /// Leaves unfinished or held input with its connection; idle input serves the next connection.
    private func keep(
        _ input: UnsafeMutablePointer<PartialInput>, _ slot: Int, _ record: UnsafeMutablePointer<Connection>
    ) {
        if input.pointee.isIdle {
            guard record.pointee.input != nil else { return }
            abandon(input, record)
            return
        }
        if record.pointee.input == nil { takeIdleInput(record) }
        countInput(input)
        if input.pointee.reader.isIdle {
            input.pointee.unfinishedSince = Slab.never
        } else if input.pointee.unfinishedSince == Slab.never {
            input.pointee.unfinishedSince = now
            setDeadline(slot, min(slab.deadlines[slot], messageDeadline(record)))
        }
    }

    /// Gives the shared idle input to a connection, and makes a new one.
    func takeIdleInput(_ record: UnsafeMutablePointer<Connection>) {
        record.pointee.input = idleInput
        idleInput = .allocate(capacity: 1)
        idleInput.initialize(to: PartialInput())
    }

    /// Updates the account with the memory of a connection's input.
    func countInput(_ input: UnsafeMutablePointer<PartialInput>) {
        let byteCount = input.pointee.byteCount + MemoryLayout<PartialInput>.stride
        context.account.input.add(byteCount - input.pointee.counted)
        input.pointee.counted = byteCount
    }

    private func abandon(_ input: UnsafeMutablePointer<PartialInput>, _ record: UnsafeMutablePointer<Connection>) {
        if input == idleInput {
            input.deinitialize(count: 1)
            input.initialize(to: PartialInput())
        } else {
            dropInput(record)
        }
    }

    func dropInput(_ record: UnsafeMutablePointer<Connection>) {
        guard let input = record.pointee.input else { return }
        record.pointee.input = nil
        context.account.input.add(-input.pointee.counted)
        input.deinitialize(count: 1)
        input.deallocate()
    }

    private func received(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ opcode: Opcode, _ payload: UnsafeRawBufferPointer,
        isCompressed: Bool
    ) {
        guard record.pointee.phase == .open else { return }
        record.pointee.messagesIn &+= 1
        statistics.messagesIn &+= 1
        guard takeToken(record) else {
            let reason = "more than \(configuration.messagesPerSecond) messages a second"
            beginClose(slot, record, .rateLimited, .policyViolation, reason, then: .finishing)
            return
        }
        guard let message = isCompressed ? inflate(slot, record, opcode, payload) : payload else { return }
        if isCompressed { work += message.count }
        act(on: message, opcode, slot, record)
    }

    /// Processes a message of an open connection according to its protocol.
    func act(
        on message: UnsafeRawBufferPointer, _ opcode: Opcode, _ slot: Int, _ record: UnsafeMutablePointer<Connection>
    ) {
        switch configuration.endpoints[Int(record.pointee.endpoint)].messageProtocol {
        case .relay: relay(slot, record, opcode, message)
        case .json: request(slot, record, opcode, message)
        }
    }

    /// Publishes a `relay` client's message in its channel, if the client may publish there.
    private func relay(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ opcode: Opcode, _ message: UnsafeRawBufferPointer
    ) {
        let channel = channels[record.pointee.channel]
        let access = channel.settings.publish
        if access != .anyone {
            let identity = record.pointee.session?.pointee.identity ?? Identity()
            guard identity.mayPublish(to: channel.name, channel.settings) else {
                beginClose(
                    slot, record, .notPermitted, .forbidden, "you may not publish in this channel", then: .closing)
                return
            }
        }
        publish(slot, record, opcode, message)
    }

    /// The number of messages that a connection may send at once.
    var burst: Int { configuration.messageBurst > 0 ? configuration.messageBurst : configuration.messagesPerSecond }

    /// Whether `limits.messages_per_second` allows one more message: a token bucket, refilled as time passes.
    private func takeToken(_ record: UnsafeMutablePointer<Connection>) -> Bool {
        guard configuration.messagesPerSecond > 0 else { return true }
        let seconds = Float(now &- record.pointee.tokensAt) * Float(Worker.tickNanoseconds) / 1e9
        record.pointee.tokensAt = now
        let refilled = record.pointee.tokens + seconds * Float(configuration.messagesPerSecond)
        record.pointee.tokens = min(Float(burst), refilled)
        guard record.pointee.tokens >= 1 else { return false }
        record.pointee.tokens -= 1
        return true
    }

    private func receivedClose(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ code: CloseCode?, _ reason: UnsafeRawBufferPointer
    ) {
        record.pointee.flags.insert(.handshakeClosed)
        guard record.pointee.phase == .open else {
            // This is the answer to our own close frame: the closing handshake is complete.
            finish(slot, record)
            return
        }
        record.pointee.cause = .peerClosed
        record.pointee.closeCode = (code ?? .noStatus).rawValue
        report(slot, record, String(decoding: reason, as: UTF8.self))
        closeBehindOwnMessages(slot, record)
    }

    /// Fails a connection whose peer broke a rule: sends the reason and reads no further.
    func failed(
        _ slot: Int, _ record: UnsafeMutablePointer<Connection>, _ code: CloseCode, _ reason: StaticString
    ) {
        guard record.pointee.phase == .open else {
            finish(slot, record)
            return
        }
        let cause: CloseCause
        var text = reason.description
        switch code {
        case .invalidData: cause = .invalidData
        case .messageTooBig:
            cause = .messageTooBig
            text += " of \(configuration.maximumMessageByteCount) bytes"
        default: cause = .protocolError
        }
        beginClose(slot, record, cause, code, text, then: .finishing)
    }
}
