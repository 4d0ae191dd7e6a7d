import Base
import CLinux
import Channels
import Operations
import Settings
import TLSHandshake
import TLSRecords
import WebSocket

/// An operator's commands for a selection of connections.
extension Worker {
    /// Queues an operator's message for the selected open connections, whatever their channels, and returns their
    /// number.
    func broadcast(_ segment: Segment, isPlainText: Bool, to selection: ConnectionSelection) -> Int {
        let number = outbox.turn.add(segment)
        var objects: (number: UInt32, segment: Segment)?
        var count = 0
        forEach(selection, from: 0) { connection in
            guard connection.phase == .open else { return true }
            var piece = (number: number, segment: segment)
            if connection.encoding.clientProtocol.form(of: .systemText, .text) == .object {
                let translated = objects ?? translated(segment, isPlainText: isPlainText)
                objects = translated
                guard translated.segment.messageCount > 0 else { return true }
                piece = translated
            }
            connection.messagesOut &+= UInt64(piece.segment.messageCount)
            countSent(piece.segment)
            outbox.turn.push(piece.number, start: 0, end: piece.segment.count, to: connection)
            count += 1
            return true
        }
        return count
    }

    /// The same message in the `json` protocol; empty if the protocol can't represent it.
    private func translated(_ segment: Segment, isPlainText: Bool) -> (number: UInt32, segment: Segment) {
        var builder = SegmentBuilder(context.account.frames)
        segment.forEachFrame { opcode, payload in
            guard opcode == .text else { return }
            outbox.text.removeAll(keepingCapacity: true)
            outbox.text.append("{\"type\":\"system\"")
            outbox.text.append(memberTime: clinux_realtime_milliseconds())
            outbox.text.append(memberData: payload, isPlainText: isPlainText)
            outbox.text.append("}")
            outbox.text.withBytes { builder.append(.text, payload: $0) }
        }
        let translated = builder.finish()
        return (outbox.turn.add(translated), translated)
    }

    /// Begins to close the selected connections and returns their number.
    func kick(_ selection: ConnectionSelection, _ code: CloseCode, _ reason: String) -> Int {
        var count = 0
        forEach(selection, from: 0) { connection in
            guard connection.phase == .open else { return true }
            beginClose(connection, .kicked, code, reason, then: .closing)
            count += 1
            return true
        }
        return count
    }

    /// Removes the selected connections from a channel, tells them, and returns their number. It does not apply to
    /// `relay` clients, which can only be in their endpoint's channel.
    func unsubscribe(_ selection: ConnectionSelection, from channel: String, _ reason: String) -> Int {
        guard let index = channels.index(of: channel) else { return 0 }
        var count = 0
        forEach(selection, from: 0) { connection in
            guard connection.phase == .open, let session = connection.session,
                session.memberships.current(index) != nil
            else { return true }
            takeOut(connection, session, of: index, reason: reason)
            count += 1
            return true
        }
        return count
    }

    /// The number of slots searched in one turn, so that a search for a few connections among many holds nothing up.
    private static let slotsPerLook = 4096

    func page(of selection: ConnectionSelection, from start: Int, limit: Int) -> Slice<ConnectionRow> {
        var page = Slice<ConnectionRow>(found: [], next: nil)
        let end = min(slab.highWater, start + Worker.slotsPerLook)
        let isExhausted = forEach(selection, from: start, to: end) { connection in
            guard page.found.count < limit else {
                page.next = UInt32(connection.slot)
                return false
            }
            page.found.append(snapshot(connection))
            return true
        }
        if !isExhausted, page.next == nil, end < slab.highWater { page.next = UInt32(end) }
        return page
    }

    /// Passes the WebSockets of a selection to `body` in the order of their slots, until it returns false. True if
    /// there are certainly no more in any slot.
    @discardableResult
    private func forEach(
        _ selection: ConnectionSelection, from start: Int, to end: Int? = nil,
        _ body: (Connection) -> Bool
    ) -> Bool {
        let channel = selection.channel.map { channels.index(of: $0) }
        if case .some(.none) = channel { return true }
        if let ids = selection.ids, start == 0 {
            for connection in ids.compactMap({ slab.find($0) }).sorted(by: { $0.slot < $1.slot }) {
                guard isSelected(connection, selection, channel ?? nil) else { continue }
                guard body(connection) else { return false }
            }
            return true
        }
        for slot in start..<max(start, end ?? slab.highWater) {
            let connection = slab[slot]
            if isSelected(connection, selection, channel ?? nil) {
                guard body(connection) else { return false }
            }
        }
        return false
    }

    /// - Parameter channel: the selection's channel, as this worker knows it.
    private func isSelected(
        _ connection: Connection, _ selection: ConnectionSelection, _ channel: UInt32?
    ) -> Bool {
        guard connection.isListed else { return false }
        return selection.selects(
            id: connection.id, address: connection.address,
            endpoint: configuration.endpoints[Int(connection.endpoint)].path, user: name(connection)
        ) { _ in channel.map { isIn($0, connection) } ?? false }
    }

    private func isIn(_ channel: UInt32, _ connection: Connection) -> Bool {
        connection.channel == channel
            || connection.session?.memberships.contains(channel) ?? false
    }

    /// The channels that a connection is in, or about to be in.
    func channelNames(_ connection: Connection) -> [String] {
        guard connection.channel == Connection.noChannel else { return [channels[connection.channel].name] }
        return connection.session?.memberships.all.map { channels[$0.channel].name } ?? []
    }

    func snapshot(_ connection: Connection) -> ConnectionRow {
        let endpoint = configuration.endpoints[Int(connection.endpoint)]
        let backlog = connection.backlog?._withUnsafeGuaranteedRef { ($0.byteCount, $0.frameCount) } ?? (0, 0)
        let idleMilliseconds = UInt64(now &- connection.lastReceived) * WorkerClock.tickNanoseconds / 1_000_000
        var row = ConnectionRow(
            id: connection.id, address: connection.address, port: Int(connection.port), endpoint: endpoint.path,
            protocol: endpoint.protocol.name, channels: channelNames(connection),
            compression: !connection.encoding.isPlain, user: name(connection),
            userAgent: telemetry.userAgents.text(connection.userAgent),
            connectedSince: Timestamp(millisecondsSinceEpoch: connection.connectedAt),
            idleSeconds: Double(idleMilliseconds) / 1_000, messagesIn: Int(clamping: connection.messagesIn),
            messagesOut: Int(clamping: connection.messagesOut), bytesIn: Int(clamping: connection.bytesIn),
            bytesOut: Int(clamping: connection.bytesOut), queuedBytes: backlog.0, queuedMessages: backlog.1,
            droppedMessages: Int(connection.dropped), state: connection.phase == .open ? .open : .closing)
        if let secure = secureLink(connection) {
            row.tls = secure.value.records.suite.description
            row.certificateSubject = secure.value.clientCertificate?.subject
            row.certificateNames = secure.value.clientCertificate?.names
        }
        return row
    }
}
