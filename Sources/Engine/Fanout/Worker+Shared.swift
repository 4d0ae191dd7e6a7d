import Base
import Broker
import CLinux
import Channels
import Operations
import Settings
import WebSocket

/// Channels that a broker shares between nodes, at their homes.
extension Worker {
    // MARK: To the broker

    /// Adds a publication to what goes to the broker at the turn's end. If too much waits already, clients wait with
    /// their messages (`isCongested`), and those that are published for a receipt are refused.
    func submit(_ publication: Publication, _ channel: Channel, _ home: ChannelHome, receipt: Receipt?, at time: UInt64)
    {
        if let receipt, context.account.brokerQueue.byteCount > configuration.brokerSettings.queueLimitByteCount {
            telemetry.statistics.refusedPublications &+= 1
            receipt.refuse("more waits for the broker than broker.queue_limit allows; try again later")
            return
        }
        let grown = home.submit(publication, receipt: receipt, at: clinux_realtime_milliseconds(), time)
        context.account.brokerQueue.add(grown)
        keepSubscribed(channel)
        noteSharedDeadline(time &+ (home.shared?.holdsBack ?? false ? queueTime : queueTime &+ Worker.returnTime))
        markShared(channel, home)
    }

    /// Uncounts a batch.
    private func uncount(_ batch: SharedChannel.Batch) {
        if batch.state == .accepted {
            context.account.returning.add(-batch.byteCount)
        } else {
            removeFromQueue(batch.byteCount)
        }
    }

    /// Uncounts what no longer waits for the broker, and resumes the connections that have waited for room.
    private func removeFromQueue(_ byteCount: Int) {
        let limit = configuration.brokerSettings.queueLimitByteCount
        guard context.account.brokerQueue.remove(byteCount, limit) else { return }
        for handle in context.handles { handle.mailbox.post(.control(.relieved)) }
    }

    /// Subscribes a channel whose messages are wanted here.
    func keepSubscribed(_ channel: Channel) {
        guard let home = channel.home, home.isWanted, home.shared?.subscribe() ?? false else { return }
        outbox.subscriptions[Name(channel.name)] = Subscription(channel: channel.name, history: home.historyLimits)
        noteSharedDeadline(nanoseconds &+ queueTime)
    }

    /// Marks a channel that has something for the broker.
    func markShared(_ channel: Channel, _ home: ChannelHome) {
        guard home.shared?.isMarked == false else { return }
        home.shared?.isMarked = true
        outbox.shared.append(channel.index)
    }

    /// Hands the turn's subscriptions, publications and changes of presence to the broker.
    func handToBroker() {
        guard let broker = context.broker else { return }
        if !channels.abandoned.isEmpty {
            // Those that have been made anew in the meantime and are wanted stay subscribed.
            let abandoned = channels.abandoned.filter { name in
                let shared = channels.index(of: name).flatMap { channels[$0].home?.shared }
                return shared?.phase ?? .idle == .idle
            }
            for name in abandoned { outbox.subscriptions[Name(name)] = nil }
            channels.abandoned = []
            for name in abandoned { context.account.deliveries.forget(name) }
            if !abandoned.isEmpty { broker.unsubscribe(abandoned) }
        }
        if !outbox.subscriptions.isEmpty {
            broker.subscribe(Array(outbox.subscriptions.values))
            outbox.subscriptions.removeAll(keepingCapacity: true)
        }
        guard !outbox.shared.isEmpty else { return }
        var batches: [OutgoingBatch] = []
        var changes: [PresenceChange] = []
        let timeout = queueTime
        for index in outbox.shared {
            guard let channel = channels.find(index), let home = channel.home, home.shared?.isMarked ?? false else {
                continue
            }
            home.shared?.isMarked = false
            outbox.batchNumber &+= 1
            // What comes while everything is parked is refused instead.
            if !isDeaf,
                let batch = home.shared?.send(
                    channel.name, number: outbox.batchNumber, history: home.historyLimits, within: timeout)
            {
                batches.append(batch)
            }
            changes += home.shared?.takePresenceChanges() ?? []
            channels.removeIfUnused(index)
        }
        outbox.shared.removeAll(keepingCapacity: true)
        if !batches.isEmpty { broker.publish(batches) }
        if !changes.isEmpty { broker.change(changes) }
    }

    // MARK: From the broker

    /// Takes what the broker says about channels whose home is here.
    func take(_ events: [BrokerEvent]) {
        for event in events {
            switch event {
            case .subscribed(let name, let position, let history):
                let position = position.sound
                withShared(name) { adopt(position, history.sound(until: position), $0, $1) }
            case .delivered(let batch):
                withShared(batch.channel) { deliver(batch.sound, $0, $1) }
            case .gap(let name, let position):
                withShared(name) { skip(to: position.sound, $0, $1) }
            case .interrupted(let name):
                goOnAfterInterruption(of: name)
            case .renumbered(let name, let position, let history):
                let position = position.sound
                withShared(name) { lose(to: position, history.sound(until: position), $0, $1) }
            case .accepted(let name, let number, let position):
                withShared(name) { accepted(number, position.sound, $0, $1) }
            case .refused(let name, let number, let refusal):
                withShared(name) { channel, home in
                    if let batch = home.shared?.remove(number: number) { refuse(batch, refusal, home) }
                    markShared(channel, home)
                }
            case .members(_, let token, let members):
                answer(token, members)
            case .message, .health:
                break
            }
        }
    }

    /// Asks for the state of a channel of which deliveries were dropped: all that was delivered before has been taken.
    private func goOnAfterInterruption(of name: String) {
        guard let index = channels.index(of: name), let home = channels[index].home,
            home.shared?.phase ?? .idle != .idle
        else {
            context.account.deliveries.forget(name)
            return
        }
        reload(channels[index], home, isInterrupted: true)
    }

    private func withShared(_ name: String, _ body: (Channel, ChannelHome) -> Void) {
        guard let index = channels.index(of: name), let home = channels[index].home, home.shared != nil else { return }
        let channel = channels[index]
        body(channel, home)
        // Whoever waited for it may have been the last who needed the channel.
        guard channels.find(index) === channel else { return }
        if let room = home.room {
            let position = MessagePosition(epoch: room.epoch, seq: room.seq)
            goOn(home.shared?.takeWaiting(at: position) ?? [], channel, home)
            guard channels.find(index) === channel else { return }
        }
        markPublished(channel, at: nanoseconds)
        channels.removeIfUnused(index)
    }

    private func adopt(
        _ position: MessagePosition, _ history: [DeliveredBatch], _ channel: Channel, _ home: ChannelHome
    ) {
        for batch in home.missed(of: history, until: position) { deliver(batch, channel, home) }
        if let shared = home.shared, shared.hasBeenLive, let room = home.room,
            room.epoch != position.epoch || room.seq != position.seq
        {
            // The history does not have all that members here have missed, or the broker has lost some of what they got.
            lose(to: position, history, channel, home)
        }
        if home.shared?.isInterrupted ?? false {
            // What was dropped does not come back.
            for batch in home.shared?.removeAccepted(until: position) ?? [] { settle(batch, home) }
        }
        // Otherwise an answer to an earlier home of this channel has made this one live.
        guard home.shared?.phase == .subscribing else { return }
        let now = clinux_realtime_milliseconds()
        home.adopt(position, history, at: now)
        goOn(home.shared?.adopt() ?? [], channel, home)
        markShared(channel, home)
        // After those who wait have got what this may drop again.
        if channels.find(channel.index) === channel { noteHistory(channel, home, at: now) }
    }

    private func deliver(_ batch: DeliveredBatch, _ channel: Channel, _ home: ChannelHome) {
        var own: SharedChannel.Batch?
        if let node = context.node, batch.node == node {
            acknowledge(batch.number, batch.position, home)
            own = home.shared?.remove(number: batch.number)
            if own != nil {
                for lost in home.shared?.removeAccepted(before: batch.number) ?? [] { settle(lost, home) }
            }
        }
        switch home.continuation(of: batch) {
        // Damage has been left out, but has numbers.
        case .next where batch.numberedCount > 0 && batch.publications.isEmpty:
            lose(to: batch.position, [], channel, home)
        case .next: home.deliver(batch, own, &outbox.text)
        case .past: break
        case .after(let position):
            lose(to: position, [], channel, home)
            home.deliver(batch, own, &outbox.text)
        }
        if batch.numberedCount > 0 { noteHistory(channel, home, at: clinux_realtime_milliseconds()) }
        if let own {
            resolve(own, home)
            markShared(channel, home)
        }
        if home.largestDeliveryByteCount > Worker.batchByteCount { distribute(channel) }
        guard let own, !own.fences.isEmpty else { return }
        distribute(channel)
        passFences(own)
    }

    /// Notes that what comes next follows a position.
    private func skip(to position: MessagePosition, _ channel: Channel, _ home: ChannelHome) {
        if let room = home.room, room.epoch == position.epoch, room.seq > position.seq { return }
        lose(to: position, [], channel, home)
    }

    private func lose(
        to position: MessagePosition, _ history: [DeliveredBatch], _ channel: Channel, _ home: ChannelHome
    ) {
        home.lose(to: position, history, at: clinux_realtime_milliseconds(), &outbox.text)
        for batch in home.shared?.removeAccepted(until: position) ?? [] { settle(batch, home) }
    }

    private func accepted(_ number: UInt64, _ position: MessagePosition, _ channel: Channel, _ home: ChannelHome) {
        acknowledge(number, position, home)
        if let (before, since, last) = home.shared?.accept(number: number) {
            removeFromQueue(before)
            context.account.returning.add(since)
            if let last { settle(last, home) }
        }
        // It does not come back if what came after it has been here.
        if let room = home.room, home.shared?.phase == .live, room.epoch == position.epoch, room.seq >= position.seq,
            let batch = home.shared?.removeAccepted(number: number)
        {
            settle(batch, home)
        }
        markShared(channel, home)
    }

    /// Answers the requests of a batch, once.
    private func acknowledge(_ number: UInt64, _ position: MessagePosition, _ home: ChannelHome) {
        guard let batch = home.shared?.acknowledge(number: number, at: position) else { return }
        home.acknowledge(batch, &outbox.text) { answer($1, to: $0) }
        for connection in batch.acknowledgementFences { finishAnswers(to: connection) }
    }

    /// Refuses what a batch has published.
    func refuse(_ batch: SharedChannel.Batch, _ refusal: BrokerRefusal, _ home: ChannelHome) {
        uncount(batch)
        telemetry.statistics.refusedPublications &+= UInt64(batch.entries.count)
        if !batch.isAcknowledged { home.refuse(batch, refusal, &outbox.text) { answer($1, to: $0) } }
        // Of several it is not known which one is meant.
        let isFinal = refusal.isFinal && batch.entries.count == 1
        for (_, receipt) in batch.receipts { receipt.refuse(refusal.message, isFinal: isFinal) }
        release(batch, home)
    }

    /// Uncounts a batch, and lets the receipts wait for the delivery of its publications.
    private func resolve(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        uncount(batch)
        for receipt in batch.positionedReceipts {
            if home.hasDelivery { home.append(receipt) } else { receipt.answer(0) }
        }
        answerQuestions(batch, home)
    }

    /// Answers what waits for a batch that does not come back.
    func settle(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        uncount(batch)
        for receipt in batch.positionedReceipts { receipt.answer(0) }
        release(batch, home)
    }

    /// Lets go whoever has waited for a batch that does not come back.
    private func release(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        for connection in batch.acknowledgementFences { finishAnswers(to: connection) }
        answerQuestions(batch, home)
        passFences(batch)
    }

    private func answerQuestions(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        for question in batch.questions { answerNow(question, home) }
    }

    private func passFences(_ batch: SharedChannel.Batch) {
        for connection in batch.fences { postFence(connection) }
    }

    func postFence(_ connection: ConnectionReference) {
        context.handles[Int(connection.worker)].mailbox.post(.connections(.fenceReached(connection)))
    }
}
