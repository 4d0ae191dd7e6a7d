import CLinux
import Operations
import Synchronization
import WebSocket

extension Worker {
    /// Takes the messages of other workers and the control plane, and processes those that are not for a channel's home.
    ///
    /// A message about another worker's subscribers overtakes messages published before it: a new subscriber may get
    /// such a message, if nobody else has got it yet.
    func takeMessages() {
        var byteCount = 0
        handle.mailbox.takeAll { message, count in
            parking?.note(message)
            if case .home(let message) = message, message.waitsItsTurn {
                homes.messages.append((message, count))
            } else {
                act(on: message)
                byteCount += count
            }
        }
        tellRelieved(handle.mailbox.atOnce.finish(byteCount: byteCount))
    }

    /// Processes the messages for homes, the oldest first, as long as the turn's budget lasts and their results have
    /// room.
    func takeHomeMessages() {
        guard !homes.messages.isEmpty else { return }
        var byteCount = 0
        // Messages for homes have their own part of the turn's budget, because input may have used up the other.
        let end = ingress.work + Worker.workBudget / 4
        while ingress.work < end, !isHeldUp, let (message, count) = homes.messages.takeFirst() {
            byteCount += count
            ingress.work += Worker.messageWork + count
            parking?.note(.home(message))
            act(on: message)
        }
        tellRelieved(handle.mailbox.forHomes.finish(byteCount: byteCount))
    }

    /// The work of a message besides its bytes: about a microsecond.
    private static let messageWork = 512

    /// Tells the workers, given as a bit each, that there is room here.
    private func tellRelieved(_ workers: UInt64) {
        workers.forEachBit { context.handles[$0].mailbox.post(.control(.relieved)) }
    }

    private func act(on message: WorkerMessage) {
        switch message {
        case .home(let message): act(on: message)
        case .connections(let message): act(on: message)
        case .operation(let message): act(on: message)
        case .control(let message): act(on: message)
        }
    }

    /// Acts as the home of a channel.
    private func act(on message: WorkerMessage.Home) {
        switch message {
        case .publish(let channel, let batch, let time, let receipt):
            publish(batch, channel: channel, at: time, receipt: receipt)
        case .interest(let name, let worker, let encodings):
            let index = channels.intern(name)
            let channel = channels[index]
            // Messages published before the subscription are not for the new subscriber.
            distribute(channel)
            channel.home?.setEncodings(encodings, ofWorker: worker)
            keepSubscribed(channel)
            channels.removeIfUnused(index)
        case .join(let name, let request, let encoding):
            let index = channels.intern(name)
            let channel = channels[index]
            guard let home = channel.home else { break }
            join(request, encoding, channel, home)?.post(encoding, channel, self)
        case .leave(let name, let user, let isLost, let generation):
            guard let index = channels.index(of: name), let home = channels[index].home else { break }
            left(user, channels[index], home, isLost: isLost, countedUnder: generation)
            channels.removeIfUnused(index)
        case .count(let name, let user, let generation):
            let index = channels.intern(name)
            if let home = channels[index].home {
                home.recount(user, at: clinux_realtime_milliseconds(), countedUnder: generation)
                markShared(channels[index], home)
            }
            channels.removeIfUnused(index)
        case .ask(let name, let question):
            let index = channels.intern(name)
            if let home = channels[index].home, !waits(.question(question), channels[index], home) {
                ask(question, channels[index], home)
            }
            channels.removeIfUnused(index)
        case .fence(let name, let connection):
            if let index = channels.index(of: name) {
                distribute(channels[index])
                guard !(channels[index].home?.shared?.fence(connection) ?? false) else { break }
            }
            postFence(connection)
        case .fenceAnswers(let connection, let name):
            let home = channels.index(of: name).flatMap { channels[$0].home }
            guard !(home?.shared?.fenceAcknowledgements(connection) ?? false) else { break }
            finishAnswers(to: connection)
        case .inspect(let name, let inspection):
            inspect(name, inspection)
        case .follow(let channel, let follower, let receipt):
            let index = channels.intern(channel)
            channels[index].home?.followers.append(follower)
            keepSubscribed(channels[index])
            receipt.answer(())
        case .unfollow(let name, let follower):
            guard let index = channels.index(of: name) else { break }
            channels[index].home?.followers.removeAll { $0 === follower }
            channels.removeIfUnused(index)
        case .broker(let events):
            if !isDeaf { take(events) }
            context.account.deliveries.finish(byteCount: events.reduce(0) { $0 + $1.byteCount })
        }
    }

    /// Passes on what has come for connections of this worker.
    private func act(on message: WorkerMessage.Connections) {
        switch message {
        case .deliver(let name, let delivery, let receipts):
            let count = channels.index(of: name).map { deliverHere(delivery, of: channels[$0]) } ?? 0
            for receipt in receipts { receipt.answer(count) }
        case .joined(let name, let reply, let encoding):
            // The member may have been removed in the meantime, and with it this worker's record of the channel.
            joined(reply, encoding, channels.intern(name))
        case .replies(let segment, let connections, let done):
            if let segment { take(segment, connections, done: done) }
            for connection in done { answered(connection) }
        case .fenceReached(let connection):
            guard let connection = slab.find(connection), connection.phase == .fenced
            else { break }
            passFence(connection)
        case .verified(let connection, let outcome, let cost):
            ingress.tokenChecks.end(cost, context.account)
            if !isDeaf { verified(connection, outcome) }
        case .refreshed(let connection, let id, let outcome, let cost):
            ingress.tokenChecks.end(cost, context.account)
            if !isDeaf { refreshed(connection, id, outcome) }
        case .challenge(let connection, let answer, let includesBody, let known):
            if !isDeaf { answered(connection, challenge: answer, includesBody: includesBody, known) }
        }
    }

    /// Does what an operator or a backend asks for.
    private func act(on message: WorkerMessage.Operation) {
        switch message {
        case .broadcast(let segment, let isPlainText, let selection, let receipt):
            receipt.answer(broadcast(segment, isPlainText: isPlainText, to: selection))
        case .kick(let selection, let code, let reason, let receipt):
            receipt.answer(kick(selection, code, reason))
        case .unsubscribe(let selection, let channel, let reason, let receipt):
            receipt.answer(unsubscribe(selection, from: channel, reason))
        case .list(let selection, let start, let limit, let receipt):
            receipt.answer(page(of: selection, from: Int(start), limit: limit))
        case .top(let order, let limit, let start, let floor, let replies):
            replies.answer(top(order, limit: limit, from: start, above: floor))
        case .busiest(let limit, let start, let replies):
            replies.answer(busiest(limit: limit, from: start))
        case .countSubscribers(let names, let replies):
            replies.answer(names.map { channels.index(of: $0).map { channels[$0].subscribers.count } ?? 0 })
        case .countChannels(let start, let replies):
            replies.answer(channelCounts(from: start))
        case .statistics(let receipt):
            receipt.answer((index, currentStatistics()))
        case .countNumbered(let replies):
            replies.answer(channels.historyCost.numberedCount)
        case .snapshot(let start, let replies):
            replies.answer(roomSnapshots(from: start))
        case .parkingOutlook(let receipt):
            receipt.answer(parkingOutlook)
        case .endings(let selection, let replies):
            replies.answer(telemetry.endings.all(where: selection.selects))
        }
    }

    /// Changes the worker's own state.
    private func act(on message: WorkerMessage.Control) {
        switch message {
        case .adopt(let descriptor, let address, let port, let isSecure):
            adopt(descriptor, address: address, port: port, isSecure: isSecure)
        case .relieved:
            resumeCongested()
        case .reconfigure(let configuration, let receipt):
            nextConfigurations.append((configuration, receipt))
        case .recount(let receipt):
            recount()
            receipt.answer(())
        case .probe(let number):
            handle.answered.store(number, ordering: .releasing)
        case .listen(let sockets, let receipt):
            acceptor.listen(sockets)
            receipt.answer(())
        case .stopListening(let receipt):
            acceptor.stop()
            receipt.answer(())
        case .drain(let period, let timeout, let reason, let receipt):
            beginDrain(period: period, timeout: timeout, reason: reason, receipt: receipt)
        case .settle(let isLast, let receipt):
            settle(isLast: isLast, receipt)
        case .park(let receipt):
            park(receipt)
        case .abort:
            abort()
        case .stop:
            stop()
        }
    }

    private func currentStatistics() -> Statistics {
        var current = telemetry.statistics
        current.channels = channels.homeCount
        current.historyBytes = channels.historyCost.byteCount
        current.memory = memoryFigures()
        current.connectionsByEndpoint = telemetry.connectionsByEndpoint.filter { $0.value > 0 }
        return current
    }
}
