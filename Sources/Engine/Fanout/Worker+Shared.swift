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
        markShared(channel, home)
    }

    /// Uncounts a batch, and resumes the connections that have waited for room.
    private func uncount(_ batch: SharedChannel.Batch) {
        guard context.account.brokerQueue.remove(batch.byteCount, configuration.brokerSettings.queueLimitByteCount) else { return }
        for handle in context.handles { handle.mailbox.post(.control(.relieved)) }
    }

    /// Subscribes a channel whose messages are wanted here.
    func keepSubscribed(_ channel: Channel) {
        guard let home = channel.home, home.isWanted, home.shared?.subscribe() ?? false else { return }
        outbox.subscriptions[Name(channel.name)] = Subscription(channel: channel.name, history: home.historyLimits)
        noteSharedDeadline()
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
            let abandoned = channels.abandoned.filter { channels.index(of: $0) == nil }
            for name in abandoned { outbox.subscriptions[Name(name)] = nil }
            channels.abandoned = []
            if !abandoned.isEmpty { broker.unsubscribe(abandoned) }
        }
        if !outbox.subscriptions.isEmpty {
            broker.subscribe(Array(outbox.subscriptions.values))
            outbox.subscriptions.removeAll(keepingCapacity: true)
        }
        guard !outbox.shared.isEmpty else { return }
        var batches: [OutgoingBatch] = []
        var changes: [PresenceChange] = []
        let timeout = WorkerClock.nanoseconds(configuration.brokerSettings.queueTimeout)
        for index in outbox.shared {
            guard let channel = channels.find(index), let home = channel.home, home.shared?.isMarked ?? false else {
                continue
            }
            home.shared?.isMarked = false
            outbox.batchNumber &+= 1
            if let batch = home.shared?.send(
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
                withShared(name) { adopt(position, history, $0, $1) }
            case .delivered(let batch):
                withShared(batch.channel) { deliver(batch, $0, $1) }
            case .gap(let name, let position):
                withShared(name) { lose(to: position, [], $0, $1) }
            case .renumbered(let name, let position, let history):
                withShared(name) { lose(to: position, history, $0, $1) }
            case .accepted(let name, let number, let position):
                withShared(name) { accepted(number, position, $0, $1) }
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

    private func withShared(_ name: String, _ body: (Channel, ChannelHome) -> Void) {
        guard let index = channels.index(of: name), let home = channels[index].home, home.shared != nil else { return }
        let channel = channels[index]
        body(channel, home)
        if let room = home.room {
            let position = MessagePosition(epoch: room.epoch, seq: room.seq)
            for request in home.shared?.takeWaiting(at: position) ?? [] { goOn(request, channel, home) }
        }
        markPublished(channel, at: nanoseconds)
        channels.removeIfUnused(index)
    }

    private func adopt(
        _ position: BrokerPosition, _ history: [DeliveredBatch], _ channel: Channel, _ home: ChannelHome
    ) {
        for batch in home.missed(of: history, until: position) { deliver(batch, channel, home) }
        let now = clinux_realtime_milliseconds()
        guard home.shared?.phase == .subscribing else {
            // An answer to an earlier home of this channel has made this one live.
            if let room = home.room, room.epoch != position.epoch || room.seq < position.seq {
                lose(to: position, history, channel, home)
            }
            return
        }
        home.adopt(position, history, at: now)
        noteHistory(channel, home, at: now)
        for request in home.shared?.adopt() ?? [] { goOn(request, channel, home) }
        markShared(channel, home)
    }

    private func deliver(_ batch: DeliveredBatch, _ channel: Channel, _ home: ChannelHome) {
        var own: SharedChannel.Batch?
        if let node = context.node, batch.node == node {
            acknowledge(batch.number, batch.position, home)
            own = home.shared?.remove(number: batch.number)
        }
        home.deliver(batch, own, &outbox.text)
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

    private func lose(
        to position: BrokerPosition, _ history: [DeliveredBatch], _ channel: Channel, _ home: ChannelHome
    ) {
        home.lose(to: position, history, at: clinux_realtime_milliseconds(), &outbox.text)
        for batch in home.shared?.removeAccepted() ?? [] { settle(batch, home) }
    }

    private func accepted(_ number: UInt64, _ position: BrokerPosition, _ channel: Channel, _ home: ChannelHome) {
        acknowledge(number, position, home)
        if let batch = home.shared?.accept(number: number) { settle(batch, home) }
        markShared(channel, home)
    }

    /// Answers the requests of a batch, once.
    private func acknowledge(_ number: UInt64, _ position: BrokerPosition, _ home: ChannelHome) {
        guard let batch = home.shared?.acknowledge(number: number, at: position) else { return }
        home.acknowledge(batch, &outbox.text) { answer($1, to: $0) }
        for connection in batch.acknowledgementFences { finishAnswers(to: connection) }
    }

    /// Refuses what a batch has published.
    private func refuse(_ batch: SharedChannel.Batch, _ refusal: BrokerRefusal, _ home: ChannelHome) {
        uncount(batch)
        telemetry.statistics.refusedPublications &+= UInt64(batch.entries.count)
        if !batch.isAcknowledged { home.refuse(batch, refusal, &outbox.text) { answer($1, to: $0) } }
        for (_, receipt) in batch.receipts { receipt.refuse(refusal.message) }
        for connection in batch.acknowledgementFences { finishAnswers(to: connection) }
        answerQuestions(batch, home)
        passFences(batch)
    }

    /// Uncounts a batch, and lets the receipts wait for the delivery of its publications.
    private func resolve(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        uncount(batch)
        for receipt in batch.positionedReceipts { home.append(receipt) }
        answerQuestions(batch, home)
    }

    /// Answers what waits for a batch that does not come back.
    private func settle(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        uncount(batch)
        for receipt in batch.positionedReceipts { receipt.answer(0) }
        for connection in batch.acknowledgementFences { finishAnswers(to: connection) }
        answerQuestions(batch, home)
        passFences(batch)
    }

    private func answerQuestions(_ batch: SharedChannel.Batch, _ home: ChannelHome) {
        for question in batch.questions {
            answer(question, home)
            finishAnswers(to: question.connection)
        }
    }

    private func passFences(_ batch: SharedChannel.Batch) {
        for connection in batch.fences { postFence(connection) }
    }

    func postFence(_ connection: ConnectionReference) {
        context.handles[Int(connection.worker)].mailbox.post(.connections(.fenceReached(connection)))
    }

    // MARK: Requests that wait

    /// Whether a request has to wait for the broker. If so, it is kept.
    ///
    /// - Parameter since: the position from which messages are asked for.
    func waits(
        _ request: @autoclosure () -> SharedChannel.Waiting, since: MessagePosition? = nil, _ channel: Channel,
        _ home: ChannelHome
    ) -> Bool {
        guard let shared = home.shared else { return false }
        let isLive = shared.phase == .live
        let request = request()
        if isLive, let room = home.room, channel.settings.keepsHistory,
            request.isAhead(of: MessagePosition(epoch: room.epoch, seq: room.seq))
        {
            home.shared?.wait(request, at: nanoseconds)
            noteSharedDeadline()
            return true
        }
        if isLive {
            // The worker may have dropped messages that the broker still has.
            guard shared.isShed, let since, let room = home.room, since.epoch == room.epoch,
                !room.history.covers(after: since.seq, newest: room.seq)
            else { return false }
            home.shared?.reload()
            outbox.subscriptions[Name(channel.name)] = Subscription(channel: channel.name, history: home.historyLimits)
        }
        home.shared?.wait(request, at: nanoseconds)
        keepSubscribed(channel)
        noteSharedDeadline()
        return true
    }

    private func goOn(_ request: SharedChannel.Waiting, _ channel: Channel, _ home: ChannelHome) {
        switch request {
        case .join(let request, let encoding):
            guard let reply = join(request, encoding, channel, home) else { return }
            guard Int(request.connection.worker) == index else { return reply.post(encoding, channel, self) }
            // What is delivered from now on goes to the subscribers here without a mailbox.
            joined(reply, encoding, channel.index)
        case .question(let question):
            ask(question, channel, home)
        case .inspect(let before, let limit, let replies):
            inspect(channel.name, before: before, limit: limit, replies)
        }
    }

    private func refuse(_ request: SharedChannel.Waiting, _ channel: Channel) {
        switch request {
        case .join(let request, let encoding):
            JoinReply(request: request, outcome: .unavailable).post(encoding, channel, self)
        case .question(let question):
            refuse(question, channel)
        case .inspect(_, _, let replies):
            replies.answer(nil)
        }
    }

    /// Answers a member's question: at once, or when the broker has answered, or when the history has what members here
    /// were told that they have published.
    func ask(_ question: Question, _ channel: Channel, _ home: ChannelHome) {
        if case .presence = question.subject, home.shared != nil {
            askForMembers(of: channel.name, .question(question))
            return
        }
        guard !(home.shared?.keep(question) ?? false) else { return }
        answer(question, home)
        finishAnswers(to: question.connection)
    }

    private func refuse(_ question: Question, _ channel: Channel) {
        let name = channel.home?.madeRoom().quotedName ?? []
        question.id.withUnsafeBytes {
            outbox.text.writeError($0, .unavailable, Worker.brokerUnreachable, quotedChannel: name)
        }
        outbox.text.withBytes { answer($0, to: question.connection) }
        finishAnswers(to: question.connection)
    }

    static let brokerUnreachable = "the broker can't be reached; try again later"

    /// A question about the users in a channel that the broker is answering.
    enum MembersQuestion {
        case question(Question)
        case inspect(ChannelSnapshot, Replies<ChannelSnapshot?>)
    }

    func askForMembers(of channel: String, _ question: MembersQuestion) {
        homes.lastToken &+= 1
        homes.questions[homes.lastToken] = (channel, question)
        context.broker?.askForMembers(of: channel, token: homes.lastToken << 6 | UInt64(index))
    }

    private func answer(_ token: UInt64, _ members: [BrokerMember]?) {
        guard let (name, question) = homes.questions.removeValue(forKey: token >> 6) else { return }
        switch question {
        case .inspect(var snapshot, let replies):
            snapshot.users = (members ?? []).map {
                ChannelUser(
                    user: $0.user, connections: $0.nodeCount, since: Timestamp(millisecondsSinceEpoch: $0.since))
            }
            replies.answer(snapshot)
        case .question(let question):
            guard let index = channels.index(of: name), let home = channels[index].home, let members else {
                refuse(question, channels[channels.intern(name)])
                return
            }
            home.answer(
                question, users: members.map { ($0.user, $0.nodeCount, $0.since) }, at: clinux_realtime_milliseconds(),
                &outbox.text)
            outbox.text.withBytes { answer($0, to: question.connection) }
            finishAnswers(to: question.connection)
        }
    }

    // MARK: Deadlines

    /// The time that an accepted batch may take to come back, in nanoseconds, besides `broker.queue_timeout`.
    private static let returnTime: UInt64 = 30_000_000_000

    private func noteSharedDeadline() {
        let timeout = Int64(clamping: WorkerClock.nanoseconds(configuration.brokerSettings.queueTimeout) / 1_000_000)
        homes.roomsDueAt = min(homes.roomsDueAt ?? .max, clinux_realtime_milliseconds() + timeout + 1)
    }

    /// Refuses what has waited too long for the broker.
    func expireShared(_ channel: Channel, _ home: ChannelHome) {
        guard let shared = home.shared, !shared.isIdle else { return }
        let timeout = WorkerClock.nanoseconds(configuration.brokerSettings.queueTimeout)
        let due = nanoseconds > timeout ? nanoseconds - timeout : 0
        let longAgo = due > Worker.returnTime ? due - Worker.returnTime : 0
        let isLive = shared.phase == .live
        for request in home.shared?.takeWaiting(since: due) ?? [] {
            guard isLive, case .join(var join, let encoding) = request else {
                refuse(request, channel)
                continue
            }
            // The position is none of this numbering.
            join.since = nil
            goOn(.join(join, encoding), channel, home)
        }
        for batch in home.shared?.removeOverdue(waitingSince: due, acceptedSince: longAgo) ?? [] {
            if batch.state == .accepted {
                settle(batch, home)
            } else {
                refuse(batch, BrokerRefusal(reason: Worker.brokerUnreachable, isUncertain: false), home)
            }
        }
        if home.shared?.isIdle == false { noteSharedDeadline() }
        markShared(channel, home)
    }
}

extension JoinReply {
    /// Sends the reply to the worker that asked.
    func post(_ encoding: Encoding, _ channel: Channel, _ worker: Worker) {
        worker.context.handles[Int(request.connection.worker)].mailbox.post(
            .connections(.joined(channel: channel.name, self, encoding)))
    }
}
