import CLinux
import Channels
import Glibc
import TLSRecords
import WebSocket

/// Sending on TLS connections.
extension Worker {
    /// Sends pieces, sealed if the connection has TLS. Returns the bytes that were taken, or a negative errno.
    @inline(__always)
    func put(_ pieces: UnsafeMutableBufferPointer<iovec>, _ connection: Connection) -> Int {
        guard let secure = secureLink(connection) else { return connection.link.send(pieces) }
        return seal(UnsafeBufferPointer(pieces), connection, secure)
    }

    /// Sends one piece, sealed if the connection has TLS.
    @inline(__always)
    func put(_ bytes: UnsafeRawPointer, count: Int, _ connection: Connection) -> Int {
        guard let secure = secureLink(connection) else { return connection.link.send(bytes, count: count) }
        var piece = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes), iov_len: count)
        return withUnsafePointer(to: &piece) {
            seal(UnsafeBufferPointer(start: $0, count: 1), connection, secure)
        }
    }

    /// Whether the connection has sealed bytes that its socket has not taken.
    @inline(__always)
    func holdsSealed(_ connection: Connection) -> Bool {
        guard let secure = secureLink(connection) else { return false }
        return !secure.value.rest.isEmpty
    }

    /// Seals pieces and sends them, a batch after the other, until the socket is full. What is sealed counts as taken: the
    /// link keeps what the socket has not.
    private func seal(
        _ pieces: UnsafeBufferPointer<iovec>, _ connection: Connection, _ secure: Boxed<SecureLink>
    ) -> Int {
        guard secure.value.rest.isEmpty else { return -Int(EAGAIN) }
        self.secure.prepare()
        let arena = self.secure.arena
        var taken = 0
        var (index, offset) = (0, 0)
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: max(1, pieces.count)) { batch in
            while index < pieces.count {
                var filled = 0
                var count = 0
                while index < pieces.count, count < SecureWork.batchByteCount {
                    let part = min(pieces[index].iov_len - offset, SecureWork.batchByteCount - count)
                    batch[filled] = iovec(iov_base: pieces[index].iov_base.map { $0 + offset }, iov_len: part)
                    filled += 1
                    count += part
                    offset += part
                    if offset == pieces[index].iov_len { (index, offset) = (index + 1, 0) }
                }
                guard count > 0 else { break }
                let sealed: Int
                do throws(TLSFault) {
                    let records = UnsafeBufferPointer(rebasing: batch[..<filled])
                    sealed = try secure.value.records.seal(records, into: arena, with: self.secure.ciphers)
                } catch { return -Int(EPROTO) }
                taken += count
                let result = send(UnsafeRawBufferPointer(rebasing: arena[..<sealed]), connection, secure)
                guard result >= 0 else { return result }
                if !secure.value.rest.isEmpty { break }
            }
            return taken
        }
    }

    /// Sends sealed bytes and keeps what the socket does not take. Returns 0, or a negative errno if the link is lost.
    private func send(_ sealed: UnsafeRawBufferPointer, _ connection: Connection, _ secure: Boxed<SecureLink>) -> Int {
        guard let base = sealed.baseAddress, !sealed.isEmpty else { return 0 }
        return keepRest(of: sealed, after: connection.link.send(base, count: sealed.count), secure)
    }

    /// Keeps what a send has left. Returns 0, or a negative errno if the link is lost.
    private func keepRest(of sealed: UnsafeRawBufferPointer, after result: Int, _ secure: Boxed<SecureLink>) -> Int {
        guard result >= 0 || Link.mayTakeMore(after: result) else { return result }
        let rest = UnsafeRawBufferPointer(rebasing: sealed[max(0, result)...])
        guard !rest.isEmpty else { return 0 }
        context.account.frames.add(rest.count)
        secure.value.rest.append(rest)
        return 0
    }

    /// Seals a piece and queues the records in the ring; false if they are too long for that, or can't be made.
    func queue(
        _ bytes: UnsafeRawPointer, count: Int, first: UInt32, _ connection: Connection, _ secure: Boxed<SecureLink>,
        in ring: SendRing
    ) -> Bool {
        guard count <= SecureWork.queuedContentByteCount, secure.value.rest.isEmpty else { return false }
        if self.secure.roomToQueue == nil { submit(ring) }
        guard let room = self.secure.roomToQueue, let base = room.baseAddress else { return false }
        var piece = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes), iov_len: count)
        let ciphers = self.secure.ciphers
        let sealed = withUnsafePointer(to: &piece) { piece in
            try? secure.value.records.seal(UnsafeBufferPointer(start: piece, count: 1), into: room, with: ciphers)
        }
        guard let sealed else { return false }
        let queued = SecureWork.Queued(
            slot: connection.slot, first: first, contentByteCount: count,
            sealed: UnsafeRawBufferPointer(start: base, count: sealed))
        connection.link.queue(base, count: sealed, in: ring, userData: self.secure.note(queued))
        return true
    }

    /// Keeps what a send of the ring has left. What is sealed counts as taken; a negative errno is passed on.
    func take(_ result: Int, of queued: SecureWork.Queued, _ connection: Connection) -> Int {
        guard let secure = secureLink(connection) else { return result }
        let kept = keepRest(of: queued.sealed, after: result, secure)
        return kept < 0 ? kept : queued.contentByteCount
    }

    /// Sends bytes that are sealed, or come before anything is: behind what the link keeps, if the socket is full.
    func sendSealed(_ bytes: UnsafeRawBufferPointer, _ connection: Connection, _ secure: Boxed<SecureLink>) {
        guard !bytes.isEmpty else { return }
        if secure.value.rest.isEmpty {
            guard send(bytes, connection, secure) == 0 else {
                end(connection, cause: .reset)
                return
            }
        } else {
            context.account.frames.add(bytes.count)
            secure.value.rest.append(bytes)
        }
        guard !secure.value.rest.isEmpty else { return }
        if connection.backlog == nil {
            let deadline = slab.deadlines[connection.slot]
            _ = beginBacklog(connection)
            // A handshake has a deadline of its own, which no progress ends.
            if connection.phase == .handshake { setDeadline(connection, deadline) }
        }
        awaitWritable(connection)
    }

    /// Sends what the link keeps, before anything else. False if the socket is still full, or the link is lost.
    func sendRest(_ connection: Connection, _ backlog: Backlog) -> Bool {
        guard let secure = secureLink(connection), !secure.value.rest.isEmpty else { return true }
        let bytes = secure.value.rest.bytes
        guard let base = bytes.baseAddress else { return true }
        let result = connection.link.send(base, count: bytes.count)
        guard result >= 0 || Link.mayTakeMore(after: result) else {
            end(connection, cause: .reset)
            return false
        }
        if result > 0 {
            secure.value.rest.drop(result)
            context.account.frames.add(-result)
            backlog.progressAt = now
            ingress.work += result
        }
        if secure.value.rest.isEmpty { return true }
        awaitWritable(connection)
        return false
    }

    /// Goes on to new keys because the peer asks for it. While the socket is full, the next records do it. Once we have begun to
    /// close, there are none: no answer gives the peer more time.
    func answerKeyUpdate(_ connection: Connection, _ secure: Boxed<SecureLink>) {
        guard secure.value.rest.isEmpty, !secure.value.hasSentClose, connection.phase != .closing else { return }
        let arena = self.secure.arena
        let count: Int
        do throws(TLSFault) {
            count = try secure.value.records.sealKeyUpdate(into: arena, with: self.secure.ciphers)
        } catch { return fail(connection, secure, error) }
        sendSealed(UnsafeRawBufferPointer(rebasing: arena[..<count]), connection, secure)
    }

    // MARK: The end

    /// Tells the peer that nothing more comes (RFC 8446, section 6.1), or why: once, and if the socket takes it at once.
    func sendCloseAlert(_ connection: Connection, _ alert: TLSAlert = .closeNotify) {
        guard let secure = secureLink(connection), secure.value.isEstablished, !secure.value.hasSentClose,
            secure.value.rest.isEmpty
        else { return }
        secure.value.hasSentClose = true
        let arena = self.secure.arena
        guard let count = try? secure.value.records.seal(alert, into: arena, with: self.secure.ciphers),
            let base = arena.baseAddress
        else { return }
        _ = connection.link.send(base, count: count)
    }

    /// Ends a connection whose records can't go on.
    func fail(_ connection: Connection, _ secure: Boxed<SecureLink>, _ fault: TLSFault) {
        if let alert = fault.alert { sendCloseAlert(connection, alert) }
        secure.value.hasSentClose = true
        guard connection.phase != .finishing, connection.phase != .lingering else {
            end(connection, cause: .tlsError)
            return
        }
        guard connection.flags.contains(.opened) else {
            refuseSilently(connection, .tlsFailed, "TLS: \(fault)")
            return
        }
        end(connection, cause: .tlsError, reason: "TLS: \(fault)")
    }

    /// Frees the TLS of a connection; its keys are overwritten.
    func dropSecureLink(_ connection: Connection) {
        guard let secure = secureLink(connection) else { return }
        connection.flags.remove(.secure)
        slab.secureLinks[connection.slot] = nil
        endHandshake(connection, secure)
        context.account.input.add(-secure.value.partial.count)
        context.account.frames.add(-secure.value.rest.count)
        secure.value.wipe()
        secure.free()
    }
}
