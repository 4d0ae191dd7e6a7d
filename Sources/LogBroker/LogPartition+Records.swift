import Base
import Broker
import BrokerSupport
import Channels

// What is read.
extension LogPartition {
    func read(_ record: LogConnection.Record) {
        // What has no time by the broker is from now, and nothing is from later.
        time = max(time, record.time > 0 ? min(record.time, core.now) : core.now)
        if isKnown(record) { return }
        // It is read once more behind the record that was checked.
        guard record.offset >= channels.nextOffset else { return }
        channels.begin(record.offset)
        guard !record.isTooLarge else {
            core.statistics.damagedMessages += 1
            return
        }
        guard LogRecord.isMarked(record.value) else { return readForeign(record) }
        guard let read = try? LogRecord(record.value) else {
            core.statistics.damagedMessages += 1
            return
        }
        if let last = serials[read.sender], read.serial <= last {
            core.statistics.droppedBatches += 1
            if read.sender == core.options.node { writer.wasSkipped(read.serial) }
            return
        }
        if serials.count >= Self.nodeCount, serials[read.sender] == nil {
            serials = serials.filter { $0.key == core.options.node }
        }
        serials[read.sender] = read.serial
        // Who reads along needs no clocks that agree.
        core.nodes.heard(read.sender, ago: phase == .live ? 0 : max(0, core.now - time))
        var position: MessagePosition?
        take(read, record.offset, &position)
        if read.sender == core.options.node { writer.read(read.serial, position) }
    }

    func take(_ record: LogRecord, _ offset: UInt64, _ position: inout MessagePosition?) {
        switch record.content {
        case .publications(let channel, var claim, let number, let numberedCount, let history, let publications):
            let name = Name(channel)
            if record.readTo > offset { claim = Self.claimAfterLoss(offset) }
            guard
                let entry = channels.settle(
                    claim, for: name, numberedCount: numberedCount, readTo: record.readTo, at: offset, time)
            else { return }
            place(
                LogChannels.Kept(
                    offset: offset, seq: 0, numberedCount: numberedCount, node: record.sender, number: number,
                    publications: publications),
                entry, name, history)
            position = entry.position
        case .channels(let rows):
            for row in rows {
                let name = Name(row.channel)
                let claim = record.readTo > offset ? Self.claimAfterLoss(offset) : row.claim
                guard channels.settle(claim, for: name, readTo: record.readTo, at: offset, time) != nil else {
                    continue
                }
                if record.sender == core.options.node { subscribed[name]?.isClaimed = false }
                if phase == .live { settle(name) }
            }
        case .changes(let changes): announce(users.change(changes, of: record.sender))
        case .users(let changes, let isFirst, let isLast):
            users.say(changes, of: record.sender, isFirst: isFirst, isLast: isLast)
            if isLast, awaitedNodes.remove(record.sender) != nil, awaitedNodes.isEmpty { answerQuestions() }
        case .message(let message, let node):
            guard phase == .live, record.sender != core.options.node, node == nil || node == core.options.node else {
                return
            }
            core.emit(.message(message, from: record.sender))
        case .beat(let description, let probe, let isNew): takeBeat(record.sender, description, probe, isNew)
        case .end:
            announce(users.remove(record.sender, at: time))
            serials[record.sender] = nil
            left(record.sender)
        case .gone(let node):
            announce(users.remove(node, at: time))
            if node == core.options.node { return own.wereRemoved() }
            // Its serial number stays known: it may be there, and append again what was taken.
            left(node)
        }
    }

    /// What a record counts for that was meant for a log that is lost: its sender had read more of that than there is now.
    private static func claimAfterLoss(_ offset: UInt64) -> LogRecord.Claim {
        LogRecord.Claim(kind: .begun, position: MessagePosition(epoch: "r\(offset)", seq: 0))
    }

    func left(_ node: NodeID) {
        core.nodes.left(node)
        if awaitedNodes.remove(node) != nil, awaitedNodes.isEmpty { answerQuestions() }
    }

    func takeBeat(_ sender: NodeID, _ description: String, _ probe: UInt64, _ isNew: Bool) {
        if !description.isEmpty { core.nodes.described(sender, description) }
        guard phase == .live else { return }
        if sender == core.options.node {
            returnedProbe = max(returnedProbe, probe)
            guard probe >= neededProbe else { return }
            isProven = true
            answer()
            passFences(true)
            core.probeReturned(number)
        } else if isNew {
            own.sayAll()
            if number == 0 { sendProbe() }
        }
    }

    /// Takes another program's record: a message, for the channel that is the key.
    func readForeign(_ record: LogConnection.Record) {
        guard let channel = String(validating: record.key, as: UTF8.self), ChannelName.isValid(channel),
            String(validating: record.value, as: UTF8.self) != nil
        else {
            core.statistics.damagedMessages += 1
            return
        }
        let name = Name(channel)
        let entry = channels.entry(of: name, at: record.offset, time)
        var writer = PublicationWriter()
        let kind: CarriedPublication.Kind = RequestReader.isJSONValue(record.value) ? .systemJSON : .systemText
        let noName = UnsafeRawBufferPointer(start: nil, count: 0)
        writer.append(CarriedPublication(kind, time: time, user: noName, payload: record.value))
        place(
            LogChannels.Kept(
                offset: record.offset, seq: 0, numberedCount: 1, node: nil, number: 0, publications: writer.bytes),
            entry, name, subscribed[name]?.history ?? entry.limits)
    }

    /// Gives a batch its place, and delivers it.
    func place(
        _ batch: LogChannels.Kept, _ entry: LogChannels.Entry, _ name: Name, _ limits: HistoryLimits?
    ) {
        if phase == .live { settle(name) }
        let before = entry.position
        let delivered = channels.append(batch, to: entry, name, limits: limits)
        guard phase == .live, let last = subscribed[name]?.delivered, last == before else { return }
        subscribed[name]?.delivered = delivered.position
        core.deliver(delivered)
    }

    func announce(_ announcements: [LogUsers.Announcement]) {
        guard phase == .live else { return }
        for announcement in announcements {
            guard let last = subscribed[announcement.channel]?.delivered else { continue }
            let kind: CarriedPublication.Kind = announcement.isPresent ? .join : .leave
            core.deliver(
                DeliveredBatch(
                    channel: announcement.channel.text, position: last, numberedCount: 0, node: nil, number: 0,
                    publications: PublicationWriter.announcement(kind, announcement.user.text, announcement.time)))
        }
    }
}
