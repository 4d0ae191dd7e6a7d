import Base
import Broker
import CLinux
import Channels
import Operations
import Settings
import Synchronization
import WebSocket

/// Requests that wait for a broker, and how long.
extension Worker {
    /// Whether a request has to wait for the broker. If so, it is kept.
    func waits(
        _ request: @autoclosure () -> SharedChannel.Waiting, _ channel: Channel, _ home: ChannelHome
    ) -> Bool {
        guard let phase = home.shared?.phase else { return false }
        let request = request()
        if request.isSilent,
            home.shared?.isDelivered ?? false || context.isBrokerDown.load(ordering: .relaxed)
        {
            return false
        }
        if phase == .live, let room = home.room, channel.settings.keepsHistory,
            request.isAhead(of: MessagePosition(epoch: room.epoch, seq: room.seq))
        {
            home.shared?.wait(request, at: nanoseconds)
            noteSharedDeadline(nanoseconds &+ queueTime)
            return true
        }
        if phase == .live {
            // The worker may have dropped messages that the broker still has.
            guard home.shared?.isShed ?? false, channel.settings.keepsHistory, let room = home.room,
                request.lacks(in: room)
            else { return false }
            reload(channel, home)
        }
        home.shared?.wait(request, at: nanoseconds)
        keepSubscribed(channel)
        noteSharedDeadline(nanoseconds &+ (request.isSilent ? silentTime : queueTime))
        return true
    }

    /// Asks the broker for the state of a live channel again, up to the present limits of its history.
    ///
    /// - Parameter isInterrupted: whether deliveries are missing.
    func reload(_ channel: Channel, _ home: ChannelHome, isInterrupted: Bool = false) {
        guard home.shared?.phase ?? .idle != .idle else { return }
        if isInterrupted { home.shared?.interrupt() } else { home.shared?.reload() }
        outbox.subscriptions[Name(channel.name)] = Subscription(channel: channel.name, history: home.historyLimits)
    }

    /// Goes on with the requests that have waited for the channel's state.
    func goOn(_ requests: [SharedChannel.Waiting], _ channel: Channel, _ home: ChannelHome) {
        var here: [(JoinReply, Encoding)] = []
        for request in requests {
            switch request {
            case .join(let request, let encoding):
                guard let reply = join(request, encoding, channel, home) else { break }
                if Int(request.connection.worker) == index {
                    here.append((reply, encoding))
                } else {
                    reply.post(encoding, channel, self)
                }
            case .question(let question):
                ask(question, channel, home)
            case .inspect(let inspection):
                answer(inspection, of: channel.name)
            }
        }
        // At once, not by the mailbox: what comes next is for them.
        for (reply, encoding) in here { joined(reply, encoding, channels.intern(channel.name)) }
    }

    private func refuse(_ request: SharedChannel.Waiting, _ channel: Channel) {
        switch request {
        case .join(let request, let encoding):
            JoinReply(request: request, outcome: .unavailable).post(encoding, channel, self)
        case .question(let question):
            refuse(question, channel.name)
        case .inspect(let inspection):
            inspection.refuse()
        }
    }

    // MARK: Questions

    /// Answers a member's question: at once, or when the broker has answered, or when the history has what members here
    /// were told that they have published.
    func ask(_ question: Question, _ channel: Channel, _ home: ChannelHome) {
        if case .presence = question.subject, home.shared != nil {
            askForMembers(of: channel.name, .question(question))
            return
        }
        guard !(home.shared?.keep(question) ?? false) else { return }
        answerNow(question, home)
    }

    /// Answers a member's question with what the home has.
    func answerNow(_ question: Question, _ home: ChannelHome) {
        home.answer(question, at: clinux_realtime_milliseconds(), &outbox.text)
        finish(question)
    }

    private func refuse(_ question: Question, _ channel: String) {
        let name = MessageText(quoting: channel).bytes
        question.id.withUnsafeBytes {
            outbox.text.writeError($0, .unavailable, Worker.brokerUnreachable, quotedChannel: name)
        }
        finish(question)
    }

    /// Sends the text as the answer to a question, unless the member has been taken out of the channel since.
    private func finish(_ question: Question) {
        guard Int(question.connection.worker) == index else {
            outbox.text.withBytes { answer($0, to: question.connection) }
            finishAnswers(to: question.connection)
            return
        }
        if !(slab.find(question.connection)?.question?.isRevoked ?? false) {
            outbox.text.withBytes { answer($0, to: question.connection) }
        }
        answered(question.connection)
    }

    static let brokerUnreachable = "the broker can't be reached; try again later"

    /// Asks the broker for the users in a channel on all nodes.
    func askForMembers(of channel: String, _ subject: MembersQuestions.Subject) {
        let token = homes.questions.add(.init(channel: channel, subject: subject, since: nanoseconds))
        noteSharedDeadline(nanoseconds &+ queueTime)
        context.broker?.askForMembers(of: channel, token: token << 6 | UInt64(index))
    }

    /// Passes on the broker's answer; nil if it gave none.
    func answer(_ token: UInt64, _ members: [BrokerMember]?) {
        guard let question = homes.questions.take(token >> 6) else { return }
        answer(question, members)
    }

    private func answer(_ open: MembersQuestions.Open, _ members: [BrokerMember]?) {
        switch open.subject {
        case .inspect(var snapshot, let inspection):
            guard let members else { return inspection.refuse() }
            snapshot.users = members.map {
                ChannelUser(
                    user: $0.user, connections: max(0, $0.nodeCount),
                    since: Timestamp(millisecondsSinceEpoch: $0.since))
            }
            inspection.replies.answer(.success(snapshot))
        case .question(let question):
            guard let index = channels.index(of: open.channel), let home = channels[index].home, let members else {
                refuse(question, open.channel)
                return
            }
            home.answer(
                question, users: members.map { ($0.user, $0.nodeCount, $0.since) }, at: clinux_realtime_milliseconds(),
                &outbox.text)
            finish(question)
        }
    }

    // MARK: Deadlines

    /// The time that requests and publications may wait for the broker, in nanoseconds.
    var queueTime: UInt64 { WorkerClock.nanoseconds(configuration.brokerSettings.queueTimeout) }
    /// The time that silent clients may wait for the broker, in nanoseconds.
    private var silentTime: UInt64 {
        min(WorkerClock.nanoseconds(configuration.subscriptionPatience), queueTime)
    }
    /// The time that a batch may take to come back, in nanoseconds, besides `queueTime`.
    static let returnTime: UInt64 = 30_000_000_000
    /// The granularity of these deadlines in milliseconds, so that many do not cause as many looks at all channels.
    private static let deadlineGrain: Int64 = 200

    /// Makes sure that `expireRooms` is called in time for a deadline, in nanoseconds of the monotonic clock.
    func noteSharedDeadline(_ time: UInt64) {
        let wait = time > nanoseconds ? Int64(clamping: (time - nanoseconds) / 1_000_000) : 0
        let due = clinux_realtime_milliseconds() + min(wait, 1 << 53)
        homes.roomsDueAt = min(homes.roomsDueAt ?? .max, (due / Worker.deadlineGrain + 1) * Worker.deadlineGrain)
    }

    /// Refuses the questions that the broker has not answered in time.
    func expireQuestions() {
        guard homes.questions.count > 0 else { return }
        for question in homes.questions.take(since: longAgo(queueTime)) { answer(question, nil) }
        if let next = homes.questions.first { noteSharedDeadline(next.since &+ queueTime) }
    }

    /// Refuses what has waited too long for the broker.
    func expireShared(_ channel: Channel, _ home: ChannelHome) {
        guard !(home.shared?.isIdle ?? true) else { return }
        for case .join(let request, let encoding) in home.shared?.takeSilent(since: longAgo(silentTime)) ?? [] {
            JoinReply(request: request, outcome: .open).post(encoding, channel, self)
        }
        let isLive = home.shared?.phase == .live
        for request in home.shared?.takeWaiting(since: longAgo(queueTime)) ?? [] {
            guard isLive, case .join(var join, let encoding) = request else {
                refuse(request, channel)
                continue
            }
            // The position is none of this numbering.
            join.since = nil
            goOn([.join(join, encoding)], channel, home)
        }
        let (waitingSince, sentSince) = (longAgo(queueTime), longAgo(queueTime &+ Worker.returnTime))
        for batch in home.shared?.removeOverdue(waitingSince: waitingSince, sentSince: sentSince) ?? [] {
            if batch.state == .accepted {
                settle(batch, home)
            } else {
                let isUncertain = batch.state == .sent
                refuse(batch, BrokerRefusal(reason: Worker.brokerUnreachable, isUncertain: isUncertain), home)
            }
        }
        if let next = home.shared?.deadline(
            waiting: queueTime, silent: silentTime, sent: queueTime &+ Worker.returnTime)
        {
            noteSharedDeadline(next)
        }
        markShared(channel, home)
    }

    private func longAgo(_ time: UInt64) -> UInt64 { nanoseconds > time ? nanoseconds - time : 0 }
}

extension JoinReply {
    /// Sends the reply to the worker that asked.
    func post(_ encoding: Encoding, _ channel: Channel, _ worker: Worker) {
        worker.context.handles[Int(request.connection.worker)].mailbox.post(
            .connections(.joined(channel: channel.name, self, encoding)))
    }
}
