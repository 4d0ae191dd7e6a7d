import Base
import Broker
import NIOCore

/// The servers of a cluster, each of which has some of 16,384 slots; a channel is where its slot is.
final class RedisCluster: RedisTopology {
    /// How long a server without slots is kept connected, after it was said to get one.
    private static let guestTime: TimeAmount = .seconds(30)
    private static let retryPause: TimeAmount = .milliseconds(100)
    private static let tries = 20

    let loop: any EventLoop
    let options: RedisBroker.Options
    let keys: RedisKeys
    private let around: RedisSurroundings
    private var lookout: RedisLookout!
    private(set) var presence: PresenceKeeper!
    private(set) var lease: NodeLease!

    /// All servers that had a slot at some time. The first is none: what no server has a slot for waits there.
    private(set) var shards: [RedisShard] = []
    private var places: [RedisAddress: Int] = [:]
    /// The place of the server that has a slot.
    private var owners = [UInt16](repeating: 0, count: ClusterSlots.count)
    /// Those that have slots.
    private var active: Set<Int> = []
    /// Servers that are getting their first slot, and when they were last said to.
    private var guests: [Int: NIODeadline] = [:]
    private var isKnown = false
    private var ranges: [SlotRange] = []

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ addresses: [RedisAddress], _ around: RedisSurroundings
    ) {
        self.loop = loop
        self.options = options
        self.around = around
        keys = RedisKeys(prefix: options.prefix, isCluster: true)
        let nowhere = RedisLink.Whereabouts(name: "the cluster") { $0(.unknown("no server has the slot")) }
        shards = [RedisShard(loop, options, nowhere, around, in: self)]
        presence = PresenceKeeper(self)
        lease = NodeLease(self, presence)
        lookout = RedisLookout(
            loop, options, .member, addresses, question: ["CLUSTER", "SLOTS"],
            RedisLookout.Events(
                answered: { [weak self] in self?.answered($0, $1) }, pushed: { _ in },
                failed: { [weak self] in self?.failed($0) }))
    }

    var isProven: Bool { active.allSatisfy { shards[$0].isProven } }

    var problem: String? {
        guard isKnown else { return shards[0].commands.problem }
        for place in active.sorted() {
            if let problem = shards[place].problem { return problem }
        }
        guard let slot = owners.firstIndex(of: 0) else { return nil }
        return "no server of the cluster has slot \(slot)"
    }

    func start() { lookout.start() }

    func withdraw(then body: @escaping () -> Void) {
        var missing = shards.count
        for shard in shards {
            shard.publishing.whenEmpty { [self] in
                missing -= 1
                if missing == 0 { presence.withdraw { [self] in lease.withdraw(then: body) } }
            }
        }
    }

    func stop() {
        lookout.stop()
        lease.stop()
        for shard in shards { shard.stop() }
    }

    func shard(for channel: String) -> RedisShard { shards[Int(owners[ClusterSlots.slot(ofChannel: channel)])] }

    func presence(for channel: String) -> PresenceKeeper? { presence }

    func router(for channel: String) -> any RedisRouter { self }

    func pump() {
        for shard in shards {
            shard.publishing.pump()
            shard.subscriptions.pump()
        }
        presence.pump()
    }

    func send(_ message: [UInt8], to node: NodeID?) { sendMessage(message, to: node) }

    /// The server that has a key.
    func owner(of key: String) -> RedisShard { shards[Int(owners[ClusterSlots.slot(of: key)])] }
}

// Who has which slots.
extension RedisCluster {
    private func answered(_ value: RESPValue, _ asked: RedisAddress) -> String? {
        guard let ranges = SlotRange.all(in: value, askedAt: asked) else { return "gave an answer that has no slots" }
        guard !ranges.isEmpty else { return "knows no server that has slots; the cluster has not been made" }
        if !isKnown || ranges != self.ranges || !guests.isEmpty { apply(ranges) }
        return nil
    }

    private func failed(_ reasons: String) {
        guard !isKnown else { return }
        shards[0].commands.fail(because: "no server of the cluster can be asked for its slots: \(reasons)")
        around.healthChanged()
    }

    private func apply(_ ranges: [SlotRange]) {
        self.ranges = ranges
        isKnown = true
        shards[0].commands.fail(because: "no server of the cluster has the channel's slot")
        lookout.learn(ranges.map(\.master))
        var next = [UInt16](repeating: 0, count: ClusterSlots.count)
        for range in ranges {
            let place = UInt16(self.place(of: range.master))
            for slot in range.slots { next[slot] = place }
        }
        // What a server that is gone took last, its replica may not have.
        for slot in next.indices where next[slot] != owners[slot] && owners[slot] != 0 {
            if shards[Int(owners[slot])].commands.ready == nil { shards[Int(next[slot])].mayLackData = true }
        }
        owners = next
        let before = active
        active = Set(next.map(Int.init)).subtracting([0])
        let now = NIODeadline.now()
        guests = guests.filter { !active.contains($0.key) && now - $0.value < Self.guestTime }
        for place in before.union(shards.indices.dropFirst()) where !active.contains(place) && guests[place] == nil {
            shards[place].disconnect()
        }
        for place in active {
            shards[place].claim { [owners] in owners[ClusterSlots.slot(of: $0)] == UInt16(place) }
            shards[place].start()
        }
        for shard in shards { handOver(from: shard) }
        presence.connected()
        pump()
        around.healthChanged()
    }

    private func place(of address: RedisAddress) -> Int {
        if let place = places[address] { return place }
        let endpoint = RedisEndpoint(address: address, kind: .member)
        shards.append(RedisShard(loop, options, .fixed(endpoint), around, in: self))
        places[address] = shards.count - 1
        return shards.count - 1
    }

    /// Gives what is not a server's any more to those whose it is.
    private func handOver(from shard: RedisShard) {
        for channel in shard.subscriptions.takeOut(where: { self.shard(for: $0.text) !== shard }) {
            self.shard(for: channel.name.text).subscriptions.adopt(channel)
        }
        for item in shard.publishing.takeOut(where: { self.shard(for: $0) !== shard }) {
            self.shard(for: item.batch.channel).publishing.adopt(item)
        }
    }

    /// Notes that a server says another has a slot.
    func noteMove(_ error: RedisError, from shard: RedisShard) {
        guard error.code == "MOVED", let asked = shard.commands.address ?? shard.deliveries.address else { return }
        lookout.turn(to: error.target(askedAt: asked))
    }

    /// Notes that slots may have moved.
    func noteChange() { lookout.ask() }

    /// The connection to the server that is getting a slot, as the one that still has it says.
    func guest(_ error: RedisError, from shard: RedisShard) -> RedisConnection? {
        guard error.code == "ASK", let asked = shard.commands.address, let address = error.target(askedAt: asked) else {
            return nil
        }
        let place = place(of: address)
        if !active.contains(place) {
            guests[place] = NIODeadline.now()
            shards[place].commands.start()
        }
        return shards[place].commands.ready
    }
}

// What the servers call.
extension RedisCluster {
    func commandsReady(_ shard: RedisShard, _ connection: RedisConnection) {
        if owner(of: keys.publishScript) === shard {
            connection.send(["SET", .text(keys.publishScript), .text(RedisScript.publish.text)]) { _ in }
        }
        lease.connected()
        presence.connected()
    }

    /// Looks for a server in the place of one that was lost.
    func connectionLost() { lookout.ask() }
}

extension RedisCluster: RedisRouter {
    var isReachable: Bool { active.contains { shards[$0].commands.ready != nil } }

    func isReady(for channel: Name, isHeard: Bool) -> Bool {
        shard(for: channel.text).isReady(for: channel, isHeard: isHeard)
    }

    func send(_ command: [RESPArgument], _ reply: @escaping (RedisConnection.Reply) -> Void) {
        guard command.count > 1, case .text(let key) = command[1] else { return reply(.lost) }
        follow(key, Self.tries, reply) { connection, isAsking, reply in
            if isAsking { connection.send(["ASKING"]) { _ in } }
            connection.send(command, reply)
        }
    }

    func run(
        _ script: RedisScript, keys: [String], _ arguments: [RESPArgument],
        reply: @escaping (RedisConnection.Reply) -> Void
    ) {
        guard let key = keys.first else { return reply(.lost) }
        follow(key, Self.tries, reply) { connection, isAsking, reply in
            connection.run(script, keys: keys, arguments, isAsking: isAsking, reply: reply)
        }
    }

    /// Faults are noted where an answer comes in.
    func noteFault(_ error: RedisError) {}

    /// Does something at the server that has a key, and follows when it is said to be elsewhere.
    private func follow(
        _ key: String, _ tries: Int, _ reply: @escaping (RedisConnection.Reply) -> Void,
        _ call: @escaping (RedisConnection, Bool, @escaping (RedisConnection.Reply) -> Void) -> Void
    ) {
        let shard = owner(of: key)
        guard let connection = shard.commands.ready else { return reply(.lost) }
        call(connection, false) { [self] answer in
            guard case .error(let error) = answer else { return reply(answer) }
            if let guest = guest(error, from: shard) { return call(guest, true, reply) }
            noteMove(error, from: shard)
            shard.noteFault(error, isProbe: false)
            guard tries > 1, ["MOVED", "ASK", "TRYAGAIN"].contains(error.code) else { return reply(answer) }
            loop.assumeIsolated().scheduleTask(in: Self.retryPause) { [weak self] in
                if let self { follow(key, tries - 1, reply, call) } else { reply(.lost) }
            }
        }
    }
}
