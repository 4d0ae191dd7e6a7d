import Rooms

/// What operators and backends want to know.
extension Hub {
    /// What is known of a channel; nil for one that nobody is in and nothing is kept of.
    ///
    /// - Parameters:
    ///   - before: only messages with a smaller number; nil: the newest.
    ///   - limit: at most so many messages.
    package func channel(_ name: String, before: UInt64?, limit: Int) async -> ChannelSnapshot? {
        await Gather.answers(1) { gather in
            home(of: name).post(.inspect(channel: name, before: before, limit: limit, gather))
        }.first ?? nil
    }

    /// How the last connections of a selection ended, the newest first.
    package func endings(_ selection: ConnectionSelection, limit: Int) async -> [Ending] {
        let found = await ask { .endings(selection, limit: limit, $0) }.joined()
        return Array(found.sorted { $0.time > $1.time }.prefix(limit))
    }

    /// Every channel with how many are in it, by name.
    package func channelCounts() async -> [ChannelCount] {
        var counts: [Name: Int] = [:]
        for part in await ask({ .countChannels($0) }) as [[ChannelCount]] {
            for channel in part { counts[Name(channel.name), default: 0] += channel.connections }
        }
        return counts.sorted { $0.key < $1.key }.map { ChannelCount(name: $0.key.text, connections: $0.value) }
    }

    /// The connections that come first in an order, and the channels in which most is said, both from the top.
    package func top(
        _ order: ConnectionOrder, connections: Int, channels: Int
    ) async -> (connections: [ConnectionSnapshot], channels: [ChannelActivity]) {
        let all = await ask { .top(order, limit: connections, $0) }.joined()
        let first = all.sorted { $0.value > $1.value }.prefix(connections)
        let active = await ask { .busiest(limit: channels, $0) }.joined()
        var busiest = ChannelActivity.busiest(active, limit: channels)
        let names = busiest.map(\.name)
        for counts in await ask({ .countSubscribers(names, $0) }) as [[Int]] {
            for (index, count) in counts.enumerated() { busiest[index].connections += count }
        }
        return (first.map(\.connection), busiest)
    }

    /// Hands over the messages of a channel, as clients of the `relay` protocol get them, until cancelled or thrown out of;
    /// with each, how many before it came too fast and are lost. The first is nil: from then on nothing is missed.
    package func follow(
        _ channel: String, _ body: (FollowedMessage?, _ lost: UInt64) async throws -> Void
    ) async throws {
        let follower = Follower()
        let home = home(of: channel)
        _ = await Gather.answers(1) { home.post(.follow(channel: channel, follower, $0)) } as [Void]
        defer { home.post(.unfollow(channel: channel, follower)) }
        try await body(nil, 0)
        try await follower.forEach(body)
    }
}
