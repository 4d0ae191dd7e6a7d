import Base
import Channels
package import Operations

/// Queries of operators and backends.
extension Hub {
    /// The state of a channel; nil if its home doesn't know the channel, because nobody is in it and nothing is kept of
    /// it.
    ///
    /// - Parameters:
    ///   - before: returns only messages with a smaller number; nil: the newest.
    ///   - limit: the maximum number of messages.
    ///   - wantsUsers: whether the users are wanted, for whom a broker has to be asked.
    package func channel(
        _ name: String, before: UInt64? = nil, limit: Int, wantsUsers: Bool = true
    ) async throws(BrokerUnavailable) -> ChannelSnapshot? {
        let answers = await Replies.collect(1) { replies in
            let inspection = ChannelInspection(before: before, limit: limit, wantsUsers: wantsUsers, replies: replies)
            home(of: name).post(.home(.inspect(channel: name, inspection)))
        }
        return try answers.first?.get() ?? nil
    }

    /// The last endings of the selected connections, the newest first; one ending may stand for many of a flood.
    package func endings(_ selection: ConnectionSelection, limit: Int) async -> [Event] {
        Event.digest(Array(await ask { .operation(.endings(selection, $0)) }.joined()), limit: limit)
    }

    /// Up to `limit` channels by name, each with its number of connections, and whether there are more.
    ///
    /// - Parameters:
    ///   - name: returns only channels after this name; nil: all.
    ///   - isMeant: returns only channels for whose names it is true.
    package func channelCounts(
        after name: String? = nil, limit: Int, where isMeant: (String) -> Bool = { _ in true }
    ) async -> (channels: [ChannelRow], hasMore: Bool) {
        var census = ChannelCensus(after: name, limit: limit)
        for (worker, mailbox) in mailboxes.enumerated() {
            await walk(mailbox, { .operation(.countChannels(from: $0, $1)) }) { (channels: [ChannelRow]) in
                for channel in channels where isMeant(channel.name) { census.add(channel, ofWorker: worker) }
            }
        }
        return census.result
    }

    /// The first connections in an order, and the channels with the highest message rates, the highest values first.
    package func top(
        _ order: ConnectionOrder, connections: Int, channels: Int
    ) async -> (connections: [ConnectionRow], channels: [BusyChannel]) {
        var first: [RankedConnection] = []
        var busiest: [BusyChannel] = []
        for mailbox in mailboxes {
            if connections > 0 {
                var floor: UInt64?
                await walk(mailbox, { .operation(.top(order, limit: connections, from: $0, above: floor, $1)) }) {
                    found in
                    first = Array((first + found).sorted { $0.value > $1.value }.prefix(connections))
                    // Only a connection above the last one still gets a place.
                    floor = first.count == connections ? first.last?.value : nil
                }
            }
            if channels > 0 {
                await walk(mailbox, { .operation(.busiest(limit: channels, from: $0, $1)) }) { found in
                    // A channel may have been removed and created again in another place.
                    let names = Set(found.map { Name($0.name) })
                    let others = busiest.filter { !names.contains(Name($0.name)) }
                    busiest = BusyChannel.busiest(others + found, limit: channels)
                }
            }
        }
        let names = busiest.map(\.name)
        for counts in await ask({ .operation(.countSubscribers(names, $0)) }) as [[Int]] {
            for (index, count) in counts.enumerated() { busiest[index].connections += count }
        }
        return (first.map(\.connection), busiest)
    }

    /// Makes a worker go through all of its places, some in each turn.
    func walk<Element: Sendable>(
        _ mailbox: Mailbox, _ message: (UInt32, Replies<Slice<Element>>) -> WorkerMessage, _ body: ([Element]) -> Void
    ) async {
        var start: UInt32? = 0
        while let place = start {
            let slice = await Replies.collect(1) { mailbox.post(message(place, $0)) }.first
            body(slice?.found ?? [])
            start = slice?.next
        }
    }

    /// Passes the messages of a channel to `body`, as clients of the `relay` protocol get them, each with the number of
    /// messages lost so far because they came too fast, until it throws or the task is cancelled. The first call has
    /// nil: all later messages are followed.
    package func follow(
        _ channel: String, _ body: (FollowedMessage?, _ lost: UInt64) async throws -> Void
    ) async throws {
        let follower = Follower()
        let home = home(of: channel)
        _ = await Replies.collect(1) { home.post(.home(.follow(channel: channel, follower, $0))) } as [Void]
        defer { home.post(.home(.unfollow(channel: channel, follower))) }
        try await body(nil, 0)
        try await follower.forEach(body)
    }
}
