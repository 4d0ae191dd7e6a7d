import Base
import Broker
import NIOCore

/// One server, and all that a broker does there: the channels that are kept on it, their subscriptions, its probes.
///
/// A broker has one of it for each server; which channel is on which is for the broker to know. All of it belongs to
/// the broker's event loop.
final class RedisShard {
    let loop: any EventLoop
    let options: RedisBroker.Options
    let keys: RedisKeys
    let nodeText: String
    /// Passes an event to the sink.
    let emit: (BrokerEvent) -> Void
    /// Called when all that was received has been handled.
    private let handled: () -> Void
    /// Called when the health may have changed.
    private let healthChanged: () -> Void
    var statistics = RedisStatistics()

    private(set) var commands: RedisLink!
    private(set) var deliveries: RedisLink!
    private(set) var publishing: PublishQueue!
    private(set) var subscriptions: Subscriptions!
    private(set) var probe: Probe!
    private(set) var presence: PresenceKeeper!
    private(set) var lease: NodeLease!
    private var refresher: KeyRefresher!

    /// The hashes of the scripts that the server has.
    var hashes: [RedisScript: String] = [:]
    /// Why the server does not do what it is asked, though there is a connection.
    private var fault: String?
    private var lastEpoch = UInt64.random(in: .min ... .max)

    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, emit: @escaping (BrokerEvent) -> Void,
        handled: @escaping () -> Void, healthChanged: @escaping () -> Void
    ) {
        self.loop = loop
        self.options = options
        keys = RedisKeys(prefix: options.prefix)
        nodeText = options.node.description
        self.emit = emit
        self.handled = handled
        self.healthChanged = healthChanged
        publishing = PublishQueue(self)
        subscriptions = Subscriptions(self)
        probe = Probe(self)
        presence = PresenceKeeper(self)
        lease = NodeLease(self)
        refresher = KeyRefresher(self)
        commands = RedisLink(
            loop, options,
            RedisLink.Events(
                ready: { [weak self] in self?.commandsReady($0) }, pushed: { _ in },
                handled: { [weak self] in self?.handled() }, lost: { [weak self] in self?.commandsLost() }))
        deliveries = RedisLink(
            loop, options,
            RedisLink.Events(
                ready: { [weak self] in self?.deliveriesReady($0) }, pushed: { [weak self] in self?.pushed($0) },
                handled: { [weak self] in self?.handled() }, lost: { [weak self] in self?.deliveriesLost() }))
    }

    func start() {
        commands.start()
        deliveries.start()
        probe.start()
        refresher.start()
    }

    /// Sends what is there, takes the node and its users off the server, and calls `body`.
    func withdraw(then body: @escaping () -> Void) {
        publishing.whenEmpty { [self] in
            presence.withdraw { [self] in lease.withdraw(then: body) }
        }
    }

    func stop() {
        refresher.stop()
        lease.stop()
        probe.stop()
        commands.stop()
        deliveries.stop()
        publishing.refuseAll()
    }

    /// Why the server can't be used at present; nil if nothing is known against it.
    var problem: String? { commands.problem ?? deliveries.problem ?? fault }

    /// Whether the subscriptions are there, and a probe went the whole way, since the connections were made.
    var isProven: Bool { !subscriptions.isRestoring && probe.hasReturned }

    /// A new name for a numbering. Each publication is sent with one, in case that its channel is new: so this asks the
    /// kernel for nothing (SplitMix64).
    func freshEpoch() -> String {
        lastEpoch &+= 0x9E37_79B9_7F4A_7C15
        var mixed = lastEpoch
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return String(mixed ^ (mixed >> 31), radix: 36)
    }

    /// Notes an error if it is about more than one command, as any is that a probe gets.
    func noteFault(_ error: RedisError, isProbe: Bool = false) {
        guard error.isFault || isProbe else { return }
        fault = "\(options.address) answered: \(error.text)"
        probe.mustReturn()
        // The address may be that of another server by now.
        if error.code == "READONLY" {
            commands.drop(because: "is a replica now: \(error.text)")
            deliveries.drop(because: "is a replica now: \(error.text)")
        }
        healthChanged()
    }

    /// Notes that a probe went the whole way.
    func probeReturned() {
        fault = nil
        commands.works()
        deliveries.works()
        healthChanged()
    }

    func checkHealth() { healthChanged() }
}

// What happens on the two connections.
extension RedisShard {
    private func commandsReady(_ connection: RedisConnection) {
        if commands.readyCount > 1 { statistics.reconnects += 1 }
        loadScripts(connection) { [self] in
            publishing.pump()
            subscriptions.pump()
            lease.connected()
            presence.pump()
            probe.send()
            healthChanged()
        }
    }

    private func commandsLost() {
        probe.mustReturn()
        healthChanged()
    }

    private func deliveriesReady(_ connection: RedisConnection) {
        if deliveries.readyCount > 1 { statistics.reconnects += 1 }
        let own = [keys.probe(options.node), keys.nodes, keys.node(options.node)]
        connection.send("SUBSCRIBE", own) { [self] name in
            if name == own[0] { probe.send() }
        }
        subscriptions.restore()
        healthChanged()
    }

    private func deliveriesLost() {
        probe.mustReturn()
        subscriptions.lost()
        healthChanged()
    }

    private func pushed(_ elements: [RESPValue]) {
        guard elements.count == 3, elements[0].text == "message", let channel = elements[1].bytes,
            let message = elements[2].bytes
        else { return }
        if channel.readableBytesView.starts(with: keys.livePrefix) {
            let name = channel.readableBytesView.dropFirst(keys.livePrefix.count)
            subscriptions.received(Name(String(decoding: name, as: UTF8.self)), message)
        } else {
            let name = String(buffer: channel)
            if name == keys.probe(options.node) { probe.received(message) } else { receivedFromNode(message) }
        }
    }

    private func receivedFromNode(_ message: ByteBuffer) {
        let bytes = message.readableBytesView
        guard let colon = bytes.prefix(14).firstIndex(of: UInt8(ascii: ":")),
            let sender = NodeID(String(decoding: bytes[..<colon], as: UTF8.self)), sender != options.node
        else { return }
        emit(.message(Array(bytes[(colon + 1)...]), from: sender))
    }

    /// Sends a message to a node, or to all others.
    func send(_ message: [UInt8], to node: NodeID?) {
        commands.ready?.send([
            "PUBLISH", .text(node.map(keys.node) ?? keys.nodes), .bytes(Array("\(nodeText):".utf8) + message),
        ]) { _ in }
    }

    /// Asks for the users in a channel on all nodes.
    func askForMembers(of channel: String, token: UInt64) {
        guard let connection = commands.ready else { return emit(.members(channel: channel, token: token, nil)) }
        connection.send(["HGETALL", .text(keys.users(channel))]) { [self] reply in
            var members: [BrokerMember]?
            if case .value(let value) = reply { members = PresenceKeeper.members(value) }
            emit(.members(channel: channel, token: token, members))
        }
    }
}
