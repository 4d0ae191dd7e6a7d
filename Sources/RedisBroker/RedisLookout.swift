import Base
import BrokerSupport
import NIOCore

/// A connection to one of several servers that know the same thing, which is asked for it again and again. If it ends,
/// or there is no useful answer in time, the next one is asked.
final class RedisLookout {
    /// What is called on the event loop.
    struct Events {
        /// Takes an answer; what is wrong with it is returned, and the next server is asked.
        var answered: (RESPValue, RedisAddress) -> String?
        var pushed: ([RESPValue]) -> Void
        /// None of the servers could be asked, for these reasons.
        var failed: (String) -> Void
    }

    /// The time in which there has to be a connection, and an answer.
    private static let patience: Duration = .seconds(1)
    private static let backoff = Backoff(shortest: 0.1, longest: 2)

    private let loop: any EventLoop
    private let options: RedisBroker.Options
    private let kind: RedisEndpoint.Kind
    private let question: [RESPArgument]
    private let channels: [String]
    private let events: Events
    /// The servers, of which the first is asked.
    private(set) var addresses: [RedisAddress]
    private let interval: TimeAmount

    private var connection: RedisConnection?
    private var isReady = false
    private var isStopped = false
    private var isUnderWay = false
    private var isWantedAgain = false
    private var roundCount = 0
    /// What was wrong with each server since there was a useful answer.
    private var reasons: [String] = []
    private var timer: Scheduled<Void>?
    private var timeout: Scheduled<Void>?

    /// - Parameter channels: the pub/sub channels to listen to.
    init(
        _ loop: any EventLoop, _ options: RedisBroker.Options, _ kind: RedisEndpoint.Kind,
        _ addresses: [RedisAddress], question: [RESPArgument], channels: [String] = [], _ events: Events
    ) {
        self.loop = loop
        var options = options
        options.connectTimeout = min(options.connectTimeout, Self.patience)
        self.options = options
        self.kind = kind
        self.addresses = addresses
        self.question = question
        self.channels = channels
        self.events = events
        interval = .nanoseconds(max(1, TimeAmount(options.probeInterval).nanoseconds / 2))
    }

    func start() { connect() }

    func stop() {
        isStopped = true
        timer?.cancel()
        timeout?.cancel()
        connection?.close(because: "is not needed any more")
    }

    /// Asks now.
    func ask() {
        guard !isStopped, isReady, let connection else { return }
        if isUnderWay {
            isWantedAgain = true
            return
        }
        timer?.cancel()
        isUnderWay = true
        isWantedAgain = false
        timeout = loop.assumeIsolated().scheduleTask(in: TimeAmount(Self.patience)) { [weak self] in
            self?.connection?.close(because: "did not answer within \(Self.patience.secondsText) s")
        }
        connection.send(question) { [weak self] reply in self?.replied(reply, connection) }
    }

    /// Asks another server than the present one, as what this one says is not true; a certain one, if it is given.
    func turn(to address: RedisAddress? = nil) {
        guard isReady, let present = connection?.endpoint.address, present != address else { return ask() }
        if let address {
            addresses.removeAll { $0 == address }
            addresses.insert(address, at: min(1, addresses.count))
        }
        connection?.close(because: "does not know what has changed")
    }

    /// Adds servers that may be asked.
    func learn(_ more: [RedisAddress]) {
        for address in more where !addresses.contains(address) { addresses.append(address) }
    }

    private func connect() {
        guard !isStopped, connection == nil, let address = addresses.first else { return }
        timer?.cancel()
        let connection = RedisConnection(
            loop, RedisEndpoint(address: address, kind: kind), options,
            RedisConnection.Events(
                ready: { [weak self] _ in self?.becameReady() }, pushed: { [weak self] in self?.events.pushed($0) },
                handled: {}, closed: { [weak self] in self?.closed($0) }))
        self.connection = connection
        connection.connect()
    }

    private func becameReady() {
        isReady = true
        connection?.send("SUBSCRIBE", channels) { _ in }
        ask()
    }

    private func replied(_ reply: RedisConnection.Reply, _ asked: RedisConnection) {
        guard asked === connection else { return }
        isUnderWay = false
        timeout?.cancel()
        switch reply {
        case .lost: break
        case .error(let error): asked.close(because: "answered: \(error.text)")
        case .value(let value):
            if let fault = events.answered(value, asked.endpoint.address) { return asked.close(because: fault) }
            reasons = []
            roundCount = 0
            if isWantedAgain { ask() } else { schedule(interval) { $0.ask() } }
        }
    }

    private func closed(_ reason: String) {
        connection = nil
        isReady = false
        isUnderWay = false
        timeout?.cancel()
        guard !isStopped else { return }
        reasons.append(reason)
        addresses.append(addresses.removeFirst())
        guard reasons.count >= addresses.count else { return connect() }
        let all = reasons.joined(separator: "; ")
        reasons = []
        roundCount += 1
        let pause = Double.random(in: Self.backoff.shortest / 2...Self.backoff.ceiling(after: roundCount))
        schedule(.microseconds(Int64(pause * 1_000_000))) { $0.connect() }
        events.failed(all)
    }

    private func schedule(_ time: TimeAmount, _ body: @escaping (RedisLookout) -> Void) {
        timer?.cancel()
        timer = loop.assumeIsolated().scheduleTask(in: time) { [weak self] in
            if let self { body(self) }
        }
    }
}
