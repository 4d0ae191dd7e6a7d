import Base
import Broker
import NIOCore

/// The servers of a broker, and which channel is kept on which.
protocol RedisTopology: AnyObject {
    /// The servers in use.
    var shards: [RedisShard] { get }
    /// Why the broker can't be used at present; nil if nothing is known against it.
    var problem: String? { get }
    /// Whether a probe has gone the whole way at each server since the connections were made.
    var isProven: Bool { get }

    /// The server that a channel is kept on.
    func shard(for channel: String) -> RedisShard
    /// Where the users of a channel are kept.
    func presence(for channel: String) -> PresenceKeeper?
    /// The way to the keys of a channel.
    func router(for channel: String) -> any RedisRouter

    func start()
    /// Sends what is there, takes the node and its users off the servers, and calls `body`.
    func withdraw(then body: @escaping () -> Void)
    func stop()

    /// Writes what waits for a server.
    func pump()
    func send(_ message: [UInt8], to node: NodeID?)
    func askForNodes(_ body: @escaping ([NodeDescription]?) -> Void)
}

/// One server, or several that know nothing of each other, each with a part of the channels.
final class IndependentServers: RedisTopology {
    let shards: [RedisShard]
    /// Knows where the server is, if Sentinels do.
    private let watch: SentinelWatch?

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ addresses: [RedisAddress], _ around: RedisSurroundings
    ) {
        watch = nil
        shards = addresses.map { RedisShard(loop, options, .fixed(RedisEndpoint(address: $0)), around) }
    }

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ sentinel: RedisBroker.Sentinel,
        _ around: RedisSurroundings
    ) {
        weak var shard: RedisShard?
        let watch = SentinelWatch(loop, options, sentinel) { shard?.move(to: $0) }
        let whereabouts = RedisLink.Whereabouts(
            name: "the master \"\(sentinel.masterName)\"", locate: { watch.locate($0) }, doubt: { watch.doubt($0) })
        let master = RedisShard(loop, options, whereabouts, around)
        shard = master
        shards = [master]
        self.watch = watch
    }

    var isProven: Bool { shards.allSatisfy(\.isProven) }

    var problem: String? { shards.lazy.compactMap(\.problem).first }

    func shard(for channel: String) -> RedisShard { shards[JumpHash.place(of: channel, among: shards.count)] }

    func presence(for channel: String) -> PresenceKeeper? { shard(for: channel).presence }

    func router(for channel: String) -> any RedisRouter { shard(for: channel) }

    func start() {
        watch?.start()
        for shard in shards { shard.start() }
    }

    func withdraw(then body: @escaping () -> Void) {
        var missing = shards.count
        for shard in shards {
            shard.withdraw {
                missing -= 1
                if missing == 0 { body() }
            }
        }
    }

    func stop() {
        watch?.stop()
        for shard in shards { shard.stop() }
    }

    func pump() {
        for shard in shards {
            shard.publishing.pump()
            shard.subscriptions.pump()
            shard.presence?.pump()
        }
    }

    /// Every node listens at every server, so that one of them is enough.
    func send(_ message: [UInt8], to node: NodeID?) {
        let shard = shards.first { $0.problem == nil } ?? shards.first { $0.isReachable }
        shard?.sendMessage(message, to: node)
    }

    func askForNodes(_ body: @escaping ([NodeDescription]?) -> Void) {
        var found: [NodeID: NodeDescription]?
        var missing = shards.count
        for shard in shards {
            shard.askForNodes { nodes in
                for node in nodes ?? [] { found = found ?? [:]; found?[node.id] = node }
                if nodes != nil, found == nil { found = [:] }
                missing -= 1
                if missing == 0 { body(found?.values.sorted { $0.id.rawValue < $1.id.rawValue }) }
            }
        }
    }
}
