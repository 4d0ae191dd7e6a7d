import Base
import Channels
import Glibc
import TLSHandshake
import TLSRecords
import WebSocket

/// Reading from TLS connections: what is read is opened in its place, and the rest of the worker gets plaintext.
extension Worker {
    /// The TLS of a connection; nil for one without.
    @inline(__always)
    func secureLink(_ connection: Connection) -> Boxed<SecureLink>? {
        connection.flags.contains(.secure) ? slab.secureLinks[connection.slot] : nil
    }

    /// Reads once from a TLS connection. Its plaintext is then behind the first `kept` bytes of the buffer; `.none` also if
    /// there is none, or if the connection has ended.
    func receive(_ connection: Connection, _ secure: Boxed<SecureLink>, behind kept: Int) -> Link.Input {
        guard !secure.value.peerHasClosed else { return .end }
        guard secure.value.isEstablished || secure.value.handshake != nil || self.secure.handshakesLeft > 0 else {
            return .none
        }
        let held = secure.value.partial.count
        let buffer = UnsafeMutableRawBufferPointer(rebasing: ingress.buffer[kept...])
        buffer.copyBytes(from: secure.value.partial.bytes)
        let end = min(buffer.count, held + SecureWork.readByteCount)
        let input = connection.link.receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[held..<end]))
        guard case .bytes(let count) = input else { return input }
        // What was held is copied and looked at again.
        ingress.work += held + count
        var records = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(held + count)])
        if !secure.value.isEstablished {
            guard let rest = continueHandshake(connection, secure, records) else { return .none }
            records = rest
        }
        let opened: Int
        do throws(TLSFault) {
            opened = try open(secure, records, into: buffer)
        } catch {
            fail(connection, secure, error)
            return .none
        }
        if secure.value.records.owesKeyUpdate { answerKeyUpdate(connection, secure) }
        guard connection.phase != .dead else { return .none }
        if opened > 0 { return .bytes(opened) }
        return secure.value.peerHasClosed ? .end : .none
    }

    /// Opens whole records and moves their data together at the start of `buffer`, which they are part of. Keeps the rest.
    private func open(
        _ secure: Boxed<SecureLink>, _ records: UnsafeMutableRawBufferPointer,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(TLSFault) -> Int {
        var rest = records
        var opened = 0
        while !secure.value.peerHasClosed, let count = RecordHeader.recordByteCount(UnsafeRawBufferPointer(rest)) {
            guard count <= RecordHeader.byteCount + RecordHeader.maximumBodyByteCount else {
                throw TLSFault(.recordOverflow, "a record of \(count) bytes")
            }
            guard count <= rest.count else { break }
            let record = UnsafeMutableRawBufferPointer(rebasing: rest[..<count])
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[count...])
            ingress.work += SecureWork.recordWork
            switch try secure.value.records.open(record, with: self.secure.ciphers) {
            case .data(let bytes):
                if let source = bytes.baseAddress, let target = buffer.baseAddress {
                    memmove(target + opened, source, bytes.count)
                    opened += bytes.count
                }
            case .nothing:
                ingress.work += SecureWork.emptyRecordWork
            case .closed:
                secure.value.peerHasClosed = true
            }
        }
        // What comes behind the end is nothing.
        if secure.value.peerHasClosed { rest = UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        keep(UnsafeRawBufferPointer(rest), secure)
        return opened
    }

    /// Keeps input that is not complete.
    private func keep(_ bytes: UnsafeRawBufferPointer, _ secure: Boxed<SecureLink>) {
        context.account.input.add(bytes.count - secure.value.partial.count)
        secure.value.partial.replace(with: bytes)
    }

    // MARK: Handshake

    /// Continues a handshake. Returns what is behind it; nil if it is not done yet, or the connection has ended.
    private func continueHandshake(
        _ connection: Connection, _ secure: Boxed<SecureLink>, _ input: UnsafeMutableRawBufferPointer
    ) -> UnsafeMutableRawBufferPointer? {
        if secure.value.handshake == nil {
            switch ClientHello.look(UnsafeRawBufferPointer(input)) {
            case .incomplete:
                keep(UnsafeRawBufferPointer(input), secure)
                return nil
            case .otherProtocol:
                dropSecureLink(connection)
                let reason = "this port speaks TLS: use https or wss"
                refuse(connection, Refusal(.badRequest, reason), cause: .tlsMismatch)
                return nil
            case .complete:
                guard beginHandshake(connection, secure) else { return nil }
            }
        }
        guard let handshake = secure.value.handshake else { return nil }
        ingress.work += SecureWork.handshakeWork
        var rest = input
        var answer: [UInt8] = []
        var step = ServerHandshake.Step.needsMore
        while step == .needsMore, let count = RecordHeader.recordByteCount(UnsafeRawBufferPointer(rest)) {
            // OpenSSL says what is wrong with a record that is too long.
            let isTooLong = count > RecordHeader.byteCount + RecordHeader.maximumBodyByteCount
            guard isTooLong || count <= rest.count else { break }
            let record = UnsafeRawBufferPointer(rebasing: rest[..<min(count, rest.count)])
            ingress.work += SecureWork.handshakeRecordWork
            step = handshake.take(record, answer: &answer)
            if isTooLong, step == .needsMore { step = .failed("a record that is too long") }
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[record.count...])
        }
        answer.withUnsafeBytes { sendSealed($0, connection, secure) }
        guard connection.phase != .dead else { return nil }
        switch step {
        case .needsMore:
            keep(UnsafeRawBufferPointer(rest), secure)
            return nil
        case .failed(let reason):
            failHandshake(connection, reason)
            return nil
        case .done:
            do throws(TLSFault) {
                try handshake.makeRecords(&secure.value.records)
            } catch {
                failHandshake(connection, error.description)
                return nil
            }
            endHandshake(connection, secure)
            secure.value.stage = .init(handshake.clientCertificate)
            wipeStack()
            return rest
        }
    }

    /// Makes OpenSSL's part of a handshake; false if the connection has ended.
    private func beginHandshake(_ connection: Connection, _ secure: Boxed<SecureLink>) -> Bool {
        makeRoomForHandshake()
        guard let tls = configuration.tls, let handshake = try? ServerHandshake(tls) else {
            failHandshake(connection, "no certificate, or no memory")
            return false
        }
        self.secure.prepare()
        self.secure.handshakesLeft -= 1
        self.secure.handshakes.begin(
            connection.tag, from: isProxy(connection.address) ? nil : connection.address.client, at: nanoseconds)
        context.account.input.add(SecureLink.handshakeByteCount)
        secure.value.stage = .handshake(handshake)
        return true
    }

    /// Ends handshakes until there is room for one more.
    private func makeRoomForHandshake() {
        while self.secure.handshakes.count >= handshakeLimit {
            guard let tag = self.secure.handshakes.oneTooMany(at: nanoseconds) else { return }
            if let slow = slab.find(tag: tag) { failHandshake(slow, tooManyHandshakes) }
            self.secure.handshakes.end(tag)
        }
    }

    private var handshakeLimit: Int {
        SecureWork.handshakeLimit(memory: context.account.byteLimit, workerCount: configuration.workerCount)
    }

    private var tooManyHandshakes: String { "more than \(handshakeLimit) TLS handshakes are in progress" }

    /// Frees OpenSSL's part of a handshake.
    func endHandshake(_ connection: Connection, _ secure: Boxed<SecureLink>) {
        guard secure.value.handshake != nil else { return }
        secure.value.stage = .hello
        self.secure.handshakes.end(connection.tag)
        context.account.input.add(-SecureLink.handshakeByteCount)
    }

    private func failHandshake(_ connection: Connection, _ reason: String) {
        refuseSilently(connection, .tlsFailed, "TLS: \(reason)")
    }

    /// Ends a connection that is not open and can't be told why, because its handshake of TLS isn't done or because of its
    /// memory.
    func refuseSilently(_ connection: Connection, _ cause: RefusalCause, _ reason: String, isReported: Bool = true) {
        count(refusal: cause, connection.address, reason, port: connection.port, silently: !isReported)
        end(connection, cause: .peerGone)
    }
}
