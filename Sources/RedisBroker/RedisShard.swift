import Base
import Broker
import BrokerSupport
import NIOCore

/// What a server's part of a broker has around it.
struct RedisSurroundings {
    /// Passes an event to the sink.
    var emit: (BrokerEvent) -> Void
    /// Called when all that was received has been handled.
    var handled: () -> Void
    /// Called when the health may have changed.
    var healthChanged: () -> Void
    /// What the servers have acknowledged.
    let acknowledged = AcknowledgedPositions()
}

/// One server, and all that a broker does there: the channels that are kept on it, their subscriptions, its probes.
///
/// A broker has one of it for each server; which channel is on which is for the topology to know. All of it belongs to
/// the broker's event loop.
final class RedisShard {
    let loop: any EventLoop
    let options: RedisBroker.Options
    let keys: RedisKeys
    let nodeText: String
    let surroundings: RedisSurroundings
    private let whereabouts: RedisLink.Whereabouts
    /// The cluster that the server is part of, if it is.
    private(set) weak var cluster: RedisCluster?
    var statistics = BrokerStatistics()

    private(set) var commands: RedisLink!
    private(set) var deliveries: RedisLink!
    private(set) var publishing: PublishQueue!
    private(set) var subscriptions: Subscriptions!
    private(set) var probe: Probe!
    /// The users and the lease of this node, if they are kept on this server.
    private(set) var presence: PresenceKeeper?
    private(set) var lease: NodeLease?

    /// The address that the commands went to last.
    private var lastAddress: RedisAddress?
    /// Why the server does not do what it is asked, though there is a connection.
    private var fault: String?
    private var epochs = EpochNames()
    private var refresher: KeyRefresher!
    /// What makes the channel of the probes one of this server; nil before it has slots.
    private(set) var probeMark: Int?
    /// The pub/sub channels beside those of the hub that are on this server, and those of them that are subscribed.
    private var ownChannels: [String] = []
    private var subscribedOwn: Set<String> = []
    /// Whether the server took the place of another, which may have had more.
    var mayLackData = false

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ whereabouts: RedisLink.Whereabouts,
        _ surroundings: RedisSurroundings, in cluster: RedisCluster? = nil
    ) {
        self.loop = loop
        self.options = options
        self.whereabouts = whereabouts
        self.surroundings = surroundings
        self.cluster = cluster
        keys = RedisKeys(prefix: options.prefix, isCluster: cluster != nil)
        nodeText = options.node.description
        publishing = PublishQueue(self)
        subscriptions = Subscriptions(self)
        probe = Probe(self)
        if cluster == nil {
            let presence = PresenceKeeper(self)
            self.presence = presence
            lease = NodeLease(self, presence)
            claim { _ in true }
        }
        refresher = KeyRefresher(self)
        commands = RedisLink(
            loop, options, whereabouts,
            RedisLink.Events(
                ready: { [weak self] in self?.commandsReady($0) }, pushed: { _ in }, handled: surroundings.handled,
                lost: { [weak self] in self?.commandsLost() }))
        deliveries = RedisLink(
            loop, options, whereabouts,
            RedisLink.Events(
                ready: { [weak self] in self?.deliveriesReady($0) }, pushed: { [weak self] in self?.pushed($0) },
                handled: surroundings.handled, lost: { [weak self] in self?.deliveriesLost() }))
    }

    /// What the server is called in messages.
    var name: String { commands.address?.description ?? deliveries.address?.description ?? whereabouts.name }

    func emit(_ event: BrokerEvent) { surroundings.emit(event) }

    func start() {
        commands.start()
        deliveries.start()
        probe.start()
        refresher.start()
    }

    /// Sends what is there, takes the node and its users off the server, and calls `body`.
    func withdraw(then body: @escaping () -> Void) {
        publishing.whenEmpty { [self] in
            guard let presence, let lease else { return body() }
            presence.withdraw { lease.withdraw(then: body) }
        }
    }

    /// Goes to another address, which is that of the server now.
    func move(to address: RedisAddress) {
        commands.move(to: address)
        deliveries.move(to: address)
    }

    func stop() {
        disconnect()
        publishing.refuseAll()
    }

    /// Ends the connections. What waits for the server remains.
    func disconnect() {
        refresher.stop()
        lease?.stop()
        probe.stop()
        commands.stop()
        deliveries.stop()
    }

    /// Why the server can't be used at present; nil if nothing is known against it.
    var problem: String? { commands.problem ?? deliveries.problem ?? fault }

    /// Whether the subscriptions are there, and a probe went the whole way, since the connections were made.
    var isProven: Bool { !subscriptions.isRestoring && probe.hasReturned }

    /// A new name for a numbering.
    func freshEpoch() -> String { epochs.next() }

    /// Notes an error if it is about more than one command, as any is that a probe gets.
    func noteFault(_ error: RedisError, isProbe: Bool) {
        guard error.isFault || isProbe else { return }
        fault = "\(name) answered: \(error.text)"
        probe.mustReturn()
        // The address may be that of another server by now.
        if error.code == "READONLY" {
            commands.drop(because: "is a replica now: \(error.text)")
            deliveries.drop(because: "is a replica now: \(error.text)")
        }
        surroundings.healthChanged()
    }

    /// Notes that a probe went the whole way.
    func probeReturned() {
        fault = nil
        commands.works()
        deliveries.works()
        surroundings.healthChanged()
    }

    /// The channels on this server in which this node has users.
    var channelsWithUsers: [Name] {
        guard let cluster else { return presence?.channelNames ?? [] }
        return cluster.presence.channelNames.filter { cluster.shard(for: $0.text) === self }
    }

    /// Whether the users of a channel are announced in it, as far as this node has any.
    func announcesUsers(of channel: Name) -> Bool { (presence ?? cluster?.presence)?.announces(channel) ?? false }

    /// Lets the users of a channel be written who have waited for its subscription.
    func subscriptionRestored(_ channel: Name) { (presence ?? cluster?.presence)?.ready(channel) }

    func checkHealth() { surroundings.healthChanged() }

    /// Notes that the server has less than it had: users who came last may be missing.
    func hasLostData() { (lease ?? cluster?.lease)?.noteLoss() }
}

// What happens on the two connections.
extension RedisShard {
    private func commandsReady(_ connection: RedisConnection) {
        if commands.readyCount > 1 { statistics.reconnects += 1 }
        align(deliveries, to: connection)
        let isElsewhere = lastAddress != nil && lastAddress != connection.endpoint.address
        lastAddress = connection.endpoint.address
        connection.loadScripts { [self] in
            publishing.pump()
            subscriptions.pump()
            if let cluster {
                cluster.commandsReady(self, connection)
            } else {
                connection.send(["SET", .text(keys.publishScript), .text(RedisScript.publish.text)]) { _ in }
                lease?.connected()
                presence?.connected()
            }
            if isElsewhere || mayLackData { hasLostData() }
            mayLackData = false
            probe.send()
            checkHealth()
        }
    }

    private func commandsLost() {
        probe.mustReturn()
        cluster?.connectionLost()
        checkHealth()
    }

    private func deliveriesReady(_ connection: RedisConnection) {
        if deliveries.readyCount > 1 { statistics.reconnects += 1 }
        align(commands, to: connection)
        subscribedOwn = []
        subscribeOwn()
        subscriptions.restore()
        checkHealth()
    }

    private func deliveriesLost() {
        probe.mustReturn()
        subscriptions.lost()
        checkHealth()
    }

    /// Takes those of this node's own channels that are on this server.
    func claim(_ isHere: (String) -> Bool) {
        let node = options.node
        if probeMark.map({ isHere(keys.probe(node, $0)) }) != true {
            // With one slot of 16,384 it takes 16,384 tries on average; with many few.
            probeMark = (0..<1_000_000).first { isHere(keys.probe(node, $0)) }
            probe.moved()
        }
        ownChannels = [keys.nodes, keys.node(node)].filter(isHere)
        if let probeMark { ownChannels.append(keys.probe(node, probeMark)) }
        subscribeOwn()
    }

    private func subscribeOwn() {
        guard let connection = deliveries?.ready else { return }
        for channel in ownChannels where subscribedOwn.insert(channel).inserted {
            // One by one, as they are in different slots of a cluster.
            connection.send(keys.subscribeCommand, [channel]) { [self] name in
                if name == probeMark.map({ keys.probe(options.node, $0) }) { probe.send() }
            } refused: { [self] error in
                guard let cluster else {
                    return connection.close(because: "does not let this client subscribe: \(error.text)")
                }
                noteFault(error, isProbe: false)
                cluster.noteMove(error, from: self)
                subscribeOwnLater(channel)
            }
        }
    }

    private func subscribeOwnLater(_ channel: String) {
        loop.assumeIsolated().scheduleTask(in: .milliseconds(200)) { [weak self] in
            self?.subscribedOwn.remove(channel)
            self?.subscribeOwn()
        }
    }

    /// Notes that the server has ended a subscription, as the slot is on another one now.
    private func subscriptionEnded(_ channel: ByteBuffer) {
        cluster?.noteChange()
        if let name = keys.channel(ofLive: channel.readableBytesView) {
            subscriptions.ended(name)
        } else {
            subscribeOwnLater(String(buffer: channel))
        }
    }

    /// Ends a connection to another server than the one that was just connected to: positions of one are not those of
    /// the other.
    private func align(_ link: RedisLink, to connection: RedisConnection) { link.move(to: connection.endpoint.address) }

    private func pushed(_ elements: [RESPValue]) {
        guard elements.count == 3, let channel = elements[1].bytes else { return }
        let kind = elements[0].text
        if kind == "sunsubscribe" { return subscriptionEnded(channel) }
        guard kind == "message" || kind == "smessage" else { return }
        guard let message = elements[2].bytes else {
            // It is too long to be read.
            statistics.damagedMessages += 1
            return
        }
        if let name = keys.channel(ofLive: channel.readableBytesView) {
            subscriptions.received(name, message)
        } else {
            let name = String(buffer: channel)
            if name == probeMark.map({ keys.probe(options.node, $0) }) {
                probe.received(message)
            } else {
                if let event = NodeMessage.event(message, to: options.node) { emit(event) }
            }
        }
    }
}
