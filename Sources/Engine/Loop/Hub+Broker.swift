package import Broker
import Synchronization

/// The broker's events for channels: each worker gets those for the channels whose home it is, in one message.
extension Hub: BrokerSink {
    package func take(_ events: [BrokerEvent]) {
        for case .health(let health) in events { context.isBrokerDown.store(health != .up, ordering: .relaxed) }
        let account = context.account
        let events = account.deliveries.admit(events, limit: BrokerDeliveries.limit(memory: account.byteLimit))
        guard !events.isEmpty else { return }
        guard mailboxes.count > 1 else {
            mailboxes[0].post(.home(.broker(events)))
            return
        }
        var byWorker = Array(repeating: [BrokerEvent](), count: mailboxes.count)
        for event in events {
            switch event {
            case .members(_, let token, _): byWorker[Int(token & 63) % mailboxes.count].append(event)
            case .message, .health: break
            case .subscribed(let channel, _, _), .gap(let channel, _), .interrupted(let channel),
                .renumbered(let channel, _, _), .accepted(let channel, _, _), .refused(let channel, _, _):
                byWorker[ChannelTable.home(of: channel, workerCount: mailboxes.count)].append(event)
            case .delivered(let batch):
                byWorker[ChannelTable.home(of: batch.channel, workerCount: mailboxes.count)].append(event)
            }
        }
        for (worker, events) in byWorker.enumerated() where !events.isEmpty {
            mailboxes[worker].post(.home(.broker(events)))
        }
    }
}
