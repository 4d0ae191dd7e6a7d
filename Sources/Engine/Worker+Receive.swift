import CLinux
import Glibc
import Rooms
import WebSocket

extension Worker {
    /// Reads once from a connection and acts on what came.
    func receive(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        guard !holdsBack(record) else {
            if record.pointee.flags.contains(.heavy), record.pointee.flags.isDisjoint(with: .waiting) { return }
            // Who has to wait waits with what else it has to say.
            record.pointee.flags.insert(.holdsInput)
            setInterest(slot, record)
            return
        }
        // An incomplete head goes to the front of the buffer, so that the parser sees one run of bytes.
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
        // Who was told 101 before these bytes were sent has to hear what they say. Its worker posted the subscription before
        // it answered, so the letter is here by now, though perhaps not yet read.
        if handle.mailbox.hasLetters {
            takeLetters()
            guard record.pointee.phase != .dead else { return }
        }
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

    /// The peer will send no more.
    private func peerShut(_ slot: Int, _ record: UnsafeMutablePointer<Connection>) {
        switch record.pointee.phase {
        case .finishing, .fenced:
            // It may still read what is queued for it.
            record.pointee.flags.insert(.peerShut)
            setInterest(slot, record)
        default:
            end(slot, record, cause: .peerGone)
        }
    }

    /// Takes frames from what was read, or from what the connection holds, and acts on each. What is left when the
    /// connection has to wait, or has had its share of the turn, it holds.
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
            // Whatever follows a close, or what broke the protocol, is not read.
            guard record.pointee.phase == .open || record.pointee.phase == .closing else {
                abandon(input, record)
                return
            }
        }
        input.pointee.reader.releaseDelivered()
        statistics.framesIn[Int(Opcode.continuation.rawValue)] &+= input.pointee.reader.takeContinuationCount()
        input.pointee.held.keep(rest)
        keep(input, slot, record)
    }

    /// What a frame costs beside its bytes: some 60 ns.
    private static let frameWork = 32

    /// Input in the middle of something stays with its connection; what is idle serves the next.
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

    /// Makes the reader of those between messages a connection's own.
    func takeIdleInput(_ record: UnsafeMutablePointer<Connection>) {
        record.pointee.input = idleInput
        idleInput = .allocate(capacity: 1)
        idleInput.initialize(to: PartialInput())
    }

    /// Has the account count what a connection is in the middle of.
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

    /// Acts on a message of an open connection, in the words of its protocol.
    func act(
        on message: UnsafeRawBufferPointer, _ opcode: Opcode, _ slot: Int, _ record: UnsafeMutablePointer<Connection>
    ) {
        switch configuration.endpoints[Int(record.pointee.endpoint)].messageProtocol {
        case .relay: relay(slot, record, opcode, message)
        case .json: request(slot, record, opcode, message)
        }
    }

    /// A `relay` client's message goes to everyone in its channel, where it may send at all.
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

    /// The messages a connection may send at once.
    var burst: Int { configuration.messageBurst > 0 ? configuration.messageBurst : configuration.messagesPerSecond }

    /// Whether `limits.messages_per_second` lets one more message in: a token bucket, refilled as time passes.
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
            // The answer to our own close frame: the closing handshake is complete.
            finish(slot, record)
            return
        }
        record.pointee.cause = .peerClosed
        record.pointee.closeCode = (code ?? .noStatus).rawValue
        report(slot, record, String(decoding: reason, as: UTF8.self))
        closeBehindOwnMessages(slot, record)
    }

    /// The peer broke a rule: says so and reads no further.
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
