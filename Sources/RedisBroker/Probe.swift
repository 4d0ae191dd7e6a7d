import Broker
import BrokerSupport
import NIOCore

/// Publishes to itself, the way that everything is published, and so sees whether a server takes and delivers.
///
/// A connection that has ended without a word, a server that is stopped, and a subscription that the server has
/// forgotten all look like a quiet day otherwise.
final class Probe {
    private unowned let shard: RedisShard
    private var timer: ProbeTimer!
    /// The number of the last probe.
    private var number: UInt64 = 0
    private var sentAt: UInt64 = 0
    private var isUnderWay = false
    /// What has come back of the probe that is under way.
    private var isAnswered = false
    private var isSubscriptionAlive = false
    private var isDelivered = false
    /// The bytes that had been received when the probe was sent, or judged last.
    private var commandBytes = 0
    private var deliveryBytes = 0
    /// The position of the last probe in their channel.
    private var position: (epoch: String, seq: UInt64)?
    /// Whether a probe has come back since the connections were made.
    private(set) var hasReturned = false

    init(_ shard: RedisShard) {
        self.shard = shard
        timer = ProbeTimer(shard.loop, interval: shard.options.probeInterval) { [unowned self] in judge() }
    }

    func start() { timer.start() }

    func stop() { timer.stop() }

    /// Notes that what came back before counts no more.
    func mustReturn() { hasReturned = false }

    /// Notes that probes are published elsewhere from now on.
    func moved() {
        position = nil
        isUnderWay = false
        hasReturned = false
    }

    /// Sends a probe if both connections are there.
    func send() {
        guard !timer.isStopped, let commands = shard.commands.ready, let deliveries = shard.deliveries.ready,
            let mark = shard.probeMark
        else { return }
        number += 1
        let number = number
        isUnderWay = true
        isAnswered = false
        isSubscriptionAlive = false
        isDelivered = false
        sentAt = NIODeadline.now().uptimeNanoseconds
        commandBytes = commands.receivedByteCount
        deliveryBytes = deliveries.receivedByteCount
        deliveries.send(["PING"]) { [weak self] reply in
            guard let self, self.number == number else { return }
            guard case .value = reply else { return }
            isSubscriptionAlive = true
            deliveryBytes = deliveries.receivedByteCount
        }
        let keys = shard.keys
        let node = shard.options.node
        commands.run(
            .publish, keys: [keys.probeMeta(node, mark), keys.probeHistory(node, mark)],
            [
                .text(keys.probe(node, mark)), 1, .text("\(number)"), "-", 0, .text(shard.freshEpoch()), 1, 1_000, 60,
                60,
                0, "-", 0, .text(keys.publishCommand),
            ]
        ) { [weak self] reply in
            guard let self, self.number == number else { return }
            switch reply {
            case .lost: break
            case .value(let value):
                isAnswered = true
                notePosition(value)
                checkReturn()
            case .error(let error):
                isAnswered = true
                // It is not delivered, and nobody's fault but the server's.
                isUnderWay = false
                shard.noteFault(error, isProbe: true)
                shard.cluster?.noteMove(error, from: shard)
            }
        }
        timer.restart()
    }

    /// Looks at the position of a probe: if it is not beyond that of the last one, the server has lost data.
    private func notePosition(_ value: RESPValue) {
        guard let answer = value.elements, answer.count == 3, let epoch = answer[0].text, let seq = answer[1].count
        else {
            return
        }
        if let position, position.epoch != epoch || position.seq >= seq { shard.hasLostData() }
        position = (epoch, seq)
    }

    /// Takes a message on the channel of the probes.
    func received(_ message: ByteBuffer) {
        var message = message
        guard isUnderWay, LiveHeader(from: &message) != nil, String(buffer: message) == "\(number)" else { return }
        isDelivered = true
        checkReturn()
    }

    private func checkReturn() {
        guard isUnderWay, isAnswered, isDelivered else { return }
        isUnderWay = false
        hasReturned = true
        shard.statistics.lastProbe = NIODeadline.now().uptimeNanoseconds &- sentAt
        shard.probeReturned()
    }

    private func judge() {
        let now = NIODeadline.now().uptimeNanoseconds
        guard isUnderWay, let commands = shard.commands.ready, let deliveries = shard.deliveries.ready else {
            isUnderWay = false
            timer.restart()
            return send()
        }
        // Behind much else, a probe may take longer; but not for ever.
        let isHopeless = now &- sentAt > 5 &* timer.pause
        let waited = Duration.nanoseconds(Int64(clamping: now &- sentAt)).secondsText
        let areCommandsDead = !isAnswered && (isHopeless || commands.receivedByteCount == commandBytes)
        let isDeliveryExpected = isAnswered || !isSubscriptionAlive
        let isDeliveryDead =
            isDeliveryExpected && !isDelivered && (isHopeless || deliveries.receivedByteCount == deliveryBytes)
        commandBytes = commands.receivedByteCount
        deliveryBytes = deliveries.receivedByteCount
        guard areCommandsDead || isDeliveryDead else { return timer.restart() }
        isUnderWay = false
        shard.statistics.probesLost += 1
        if areCommandsDead { shard.commands.drop(because: "does not answer: no reply for \(waited) s") }
        if isDeliveryDead {
            shard.deliveries.drop(because: "does not deliver to the subscription: no probe came back for \(waited) s")
        }
        timer.restart()
    }
}
