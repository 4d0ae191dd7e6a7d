import Base
import Broker
import BrokerSupport

// What the hub asks for, and what is handed over for it.
extension LogPartition {
    func subscribe(_ subscription: Subscription) {
        let name = Name(subscription.channel)
        // Whoever is subscribed already is told of what comes until the answer, too.
        subscribed[name] = Subscribed(
            history: subscription.history, delivered: subscribed[name]?.delivered, fence: sentProbe + 1,
            isClaimed: subscribed[name]?.isClaimed ?? false)
        unanswered.insert(name)
        isFenceDue = true
        if isUsable { settle(name) }
    }

    /// Answers the subscriptions that can be answered now.
    func answer() {
        for name in unanswered where subscribed[name]?.isNew == true { settle(name) }
        unanswered = unanswered.filter { subscribed[$0]?.isNew == true }
    }

    func unsubscribe(_ channel: String) {
        subscribed[Name(channel)] = nil
        unanswered.remove(Name(channel))
        claims[Name(channel)] = nil
    }

    func askForMembers(of channel: String, token: UInt64) {
        whenCurrent { [self] isCurrent in
            guard isCurrent else { return core.emit(.members(channel: channel, token: token, nil)) }
            questions.append((channel, token))
            if awaitedNodes.isEmpty { answerQuestions() }
        }
    }

    func stopAwaiting() {
        awaitedNodes = []
        answerQuestions()
    }

    func answerQuestions() {
        for (channel, token) in questions {
            core.emit(.members(channel: channel, token: token, users.members(of: Name(channel))))
        }
        questions = []
    }

    /// Hands over what has come up: claims, users, and what waits.
    func pump() {
        guard takesRecords else { return }
        var rows: [LogWriter.Claim] = []
        var size = 0
        for claim in claims.values {
            rows.append(claim)
            size += claim.name.text.utf8.count + 64
            guard size >= LogWriter.recordByteCount else { continue }
            writer.append(.claims(rows))
            (rows, size) = ([], 0)
        }
        claims = [:]
        if !rows.isEmpty { writer.append(.claims(rows)) }
        if isFenceDue {
            isFenceDue = false
            sendProbe()
        }
        own.flush()
        writer.pump()
    }

    /// Appends a record to the partition, with what is known now. False if the plugin has no room.
    func append(_ payload: LogWriter.Payload, serial: UInt64, token: UInt64) -> Bool {
        var key = ""
        let content: LogRecord.Content
        switch payload {
        case .content(let other): content = other
        case .claims(let claims):
            content = .channels(claims.map { LogRecord.ChannelClaim(channel: $0.name.text, claim: settled($0)) })
        case .batch(let batch):
            key = batch.channel
            let claim = settled(LogWriter.Claim(name: Name(batch.channel), replaced: nil))
            content = .publications(
                channel: batch.channel, claim, number: batch.number, numberedCount: batch.numberedCount,
                history: batch.history, batch.publications)
        }
        let record = LogRecord(
            sender: core.options.node, serial: serial, readTo: channels.nextOffset, content: content)
        return core.connection?.append(number, key: key, record.bytes, token: token) ?? false
    }

    /// What is claimed of a channel at this point of the reading.
    func settled(_ claim: LogWriter.Claim) -> LogRecord.Claim {
        let position = channels[claim.name]?.position
        if let replaced = claim.replaced, position == nil || position?.epoch == replaced {
            return LogRecord.Claim(
                kind: .replacing, position: MessagePosition(epoch: core.freshEpoch(), seq: position?.seq ?? 0),
                replaced: replaced)
        }
        if let position { return LogRecord.Claim(kind: .known, position: position) }
        return LogRecord.Claim(kind: .begun, position: MessagePosition(epoch: core.freshEpoch(), seq: 0))
    }
}
