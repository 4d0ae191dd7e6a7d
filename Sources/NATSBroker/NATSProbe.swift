import Broker
import BrokerSupport
import NIOCore

/// Publishes to itself, the way that everything is published, and so sees whether a server takes and delivers.
final class NATSProbe {
    private unowned let core: NATSCore
    private var timer: ProbeTimer!
    private var number: UInt64 = 0
    private var sentAt: UInt64 = 0
    private var isUnderWay = false
    /// What has come back of the probe that is under way.
    private var isServerAlive = false
    private var isAnswered = false
    private var isDelivered = false
    /// The bytes that had been received when the probe was sent, or judged last.
    private var receivedByteCount = 0
    /// Whether a probe has come back since the connection was made.
    private(set) var hasReturned = false

    init(_ core: NATSCore) {
        self.core = core
        timer = ProbeTimer(core.loop, interval: core.options.probeInterval) { [unowned self] in judge() }
    }

    func start() { timer.start() }

    func stop() { timer.stop() }

    /// Notes that what came back before counts no more.
    func mustReturn() { hasReturned = false }

    /// Sends a probe if there is a connection.
    func send() {
        guard !timer.isStopped, let connection = core.link.ready else { return }
        number += 1
        let number = number
        isUnderWay = true
        isServerAlive = false
        isAnswered = false
        isDelivered = false
        sentAt = NIODeadline.now().uptimeNanoseconds
        receivedByteCount = connection.receivedByteCount
        timer.restart()
        connection.ping { [weak self] isTaken in
            if isTaken, let self, self.number == number { isServerAlive = true }
        }
        let stream = core.subjects.stream(nil)
        core.streams.ensure(stream) { [weak self] ready in
            guard ready != nil, let self, self.number == number else { return }
            let subject = "\(stream.root).\(core.subjects.probe(core.options.node))"
            core.link.ready?.request(subject, [UInt8]("\(number)".utf8)) { [weak self] answer in
                guard let self, self.number == number else { return }
                switch StreamAnswer(answer) {
                case .stored, .outrun:
                    isAnswered = true
                    checkReturn()
                case .refused(let failure): core.noteFault("\(core.link.name) answered: \(failure.text)")
                case .nobody:
                    core.streams.forget(stream.name)
                    core.noteFault("\(core.link.name): nobody takes what is for the stream \(stream.name)")
                case .inProcess, .unknown: core.streams.forget(stream.name)
                }
            }
        }
    }

    /// Takes a message on the subject of the probes.
    func received(_ message: NATSMessage) {
        guard isUnderWay, String(buffer: message.payload) == "\(number)" else { return }
        isDelivered = true
        checkReturn()
    }

    private func checkReturn() {
        guard isUnderWay, isAnswered, isDelivered else { return }
        isUnderWay = false
        hasReturned = true
        core.statistics.lastProbe = NIODeadline.now().uptimeNanoseconds &- sentAt
        core.probeReturned()
    }

    private func judge() {
        let now = NIODeadline.now().uptimeNanoseconds
        guard isUnderWay, let connection = core.link.ready else {
            isUnderWay = false
            timer.restart()
            return send()
        }
        let waited = Duration.nanoseconds(Int64(clamping: now &- sentAt)).secondsText
        // Behind much else, a probe may take longer; but not for ever.
        let isHopeless = now &- sentAt > 5 &* timer.pause
        let isQuiet = connection.receivedByteCount == receivedByteCount
        receivedByteCount = connection.receivedByteCount
        guard isQuiet || isHopeless else { return timer.restart() }
        isUnderWay = false
        core.statistics.probesLost += 1
        if !isServerAlive {
            core.link.drop(because: "does not answer: no reply for \(waited) s")
        } else if isAnswered {
            core.link.drop(because: "does not deliver to the subscription: no probe came back for \(waited) s")
        } else {
            core.noteFault(
                "\(core.link.name) answers, but JetStream does not: no acknowledgement for \(waited) s; its stream may "
                    + "have no leader")
            return send()
        }
        timer.restart()
    }
}
