import CLinux
import Synchronization
import WebSocket

extension Worker {
    /// Takes the letters of other workers and the control plane, and processes those that are not for a channel's home.
    ///
    /// A letter about another worker's subscribers overtakes messages published before it: a new subscriber may get
    /// such a message, if nobody else has got it yet.
    func takeLetters() {
        var byteCount = 0
        handle.mailbox.takeAll { letter, count in
            if letter.isForHome {
                homeward.append((letter, count))
            } else {
                act(on: letter)
                byteCount += count
            }
        }
        tellRelieved(handle.mailbox.atOnce.finish(byteCount: byteCount))
    }

    /// Processes the letters for homes, the oldest first, as long as the turn's budget lasts and their results have
    /// room.
    func takeHomeward() {
        guard homewardNext < homeward.count else { return }
        var byteCount = 0
        // Letters for homes have their own part of the turn's budget, because input may have used up the other.
        let end = work + Worker.workBudget / 4
        while homewardNext < homeward.count, work < end, !isHeldUp {
            let (letter, count) = homeward[homewardNext]
            homeward[homewardNext] = (.relieved, 0)
            homewardNext += 1
            byteCount += count
            work += Worker.letterWork + count
            act(on: letter)
        }
        if homewardNext == homeward.count {
            homeward.removeAll(keepingCapacity: homeward.count < 4_096)
            homewardNext = 0
        } else if homewardNext >= 1_024, homewardNext * 2 >= homeward.count {
            homeward.removeFirst(homewardNext)
            homewardNext = 0
        }
        tellRelieved(handle.mailbox.forHomes.finish(byteCount: byteCount))
    }

    /// The work of a letter besides its bytes: about a microsecond.
    private static let letterWork = 512

    /// Tells the workers, given as a bit each, that there is room here.
    private func tellRelieved(_ workers: UInt64) {
        workers.forEachBit { context.handles[$0].mailbox.post(.relieved) }
    }

    private func act(on letter: Letter) {
        switch letter {
        case .adopt(let descriptor, let address, let port):
            adopt(descriptor, address: address, port: port)
        case .publish(let channel, let batch, let time, let receipt):
            publish(batch, channel: channel, at: time, receipt: receipt)
        case .deliver(let name, let delivery, let receipts):
            let count = channels.index(of: name).map { deliverHere(delivery, of: channels[$0]) } ?? 0
            for receipt in receipts { receipt.answer(count) }
        case .interest(let name, let worker, let encodings):
            let index = channels.intern(name)
            let channel = channels[index]
            // Messages published before the subscription are not for the new subscriber.
            distribute(channel)
            channel.home?.setEncodings(encodings, ofWorker: worker)
            channels.removeIfUnused(index)
        case .fence(let name, let connection):
            if let index = channels.index(of: name) { distribute(channels[index]) }
            context.handles[Int(connection.worker)].mailbox.post(.fenceReached(connection))
        case .fenceReached(let connection):
            guard let connection = slab.find(connection), connection.phase == .fenced
            else { break }
            passFence(connection)
        case .join(let name, let request, let encoding):
            let index = channels.intern(name)
            let channel = channels[index]
            guard let home = channel.home else { break }
            let reply = join(request, channel, home)
            let mailbox = context.handles[Int(request.connection.worker)].mailbox
            mailbox.post(.joined(channel: name, reply, encoding))
        case .joined(let name, let reply, let encoding):
            // The member may have been removed in the meantime, and with it this worker's record of the channel.
            joined(reply, encoding, channels.intern(name))
        case .leave(let name, let user, let isLost, let generation):
            guard let index = channels.index(of: name), let home = channels[index].home else { break }
            left(user, channels[index], home, isLost: isLost, countedUnder: generation)
            channels.removeIfUnused(index)
        case .count(let name, let user, let generation):
            let index = channels.intern(name)
            channels[index].home?.recount(user, at: clinux_realtime_milliseconds(), countedUnder: generation)
            channels.removeIfUnused(index)
        case .ask(let name, let question):
            let index = channels.intern(name)
            if let home = channels[index].home { answer(question, home) }
            finishAnswers(to: question.connection)
            channels.removeIfUnused(index)
        case .answers(let segment, let connections, let done):
            if let segment { take(segment, connections, done: done) }
            for connection in done { answered(connection) }
        case .fenceAnswers(let connection):
            finishAnswers(to: connection)
        case .relieved:
            resumeCongested()
        case .inspect(let name, let before, let limit, let gather):
            gather.answer(snapshot(of: name, before: before, limit: limit))
        case .top(let order, let limit, let start, let floor, let gather):
            gather.answer(top(order, limit: limit, from: start, above: floor))
        case .busiest(let limit, let start, let gather):
            gather.answer(busiest(limit: limit, from: start))
        case .countSubscribers(let names, let gather):
            gather.answer(names.map { channels.index(of: $0).map { channels[$0].subscribers.count } ?? 0 })
        case .countChannels(let start, let gather):
            gather.answer(channelCounts(from: start))
        case .verified(let connection, let outcome):
            verified(connection, outcome)
        case .refreshed(let connection, let id, let outcome):
            refreshed(connection, id, outcome)
        case .broadcast(let segment, let isPlainText, let selection, let receipt):
            receipt.answer(broadcast(segment, isPlainText: isPlainText, to: selection))
        case .kick(let selection, let code, let reason, let receipt):
            receipt.answer(kick(selection, code, reason))
        case .unsubscribe(let selection, let channel, let reason, let receipt):
            receipt.answer(unsubscribe(selection, from: channel, reason))
        case .list(let selection, let start, let limit, let receipt):
            receipt.answer(page(of: selection, from: Int(start), limit: limit))
        case .statistics(let receipt):
            receipt.answer((index, currentStatistics()))
        case .endings(let selection, let gather):
            gather.answer(endings.all(where: selection.selects))
        case .follow(let channel, let follower, let receipt):
            let index = channels.intern(channel)
            channels[index].home?.followers.append(follower)
            receipt.answer(())
        case .unfollow(let name, let follower):
            guard let index = channels.index(of: name) else { break }
            channels[index].home?.followers.removeAll { $0 === follower }
            channels.removeIfUnused(index)
        case .reconfigure(let configuration, let receipt):
            nextConfigurations.append((configuration, receipt))
        case .recount(let receipt):
            recount()
            receipt.answer(())
        case .probe(let number):
            handle.answered.store(number, ordering: .releasing)
        case .listen(let sockets, let receipt):
            listen(sockets)
            receipt.answer(())
        case .stopListening(let receipt):
            stopListening()
            receipt.answer(())
        case .drain(let period, let timeout, let reason, let receipt):
            beginDrain(period: period, timeout: timeout, reason: reason, receipt: receipt)
        case .abort:
            abort()
        case .stop:
            stop()
        }
    }

    private func currentStatistics() -> Statistics {
        var current = statistics
        current.channels = channels.homeCount
        current.historyBytes = channels.historyCost.byteCount
        current.memory = memoryFigures()
        current.connectionsByEndpoint = connectionsByEndpoint.filter { $0.value > 0 }
        return current
    }
}
