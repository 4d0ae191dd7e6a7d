import Broker
import BrokerSupport
import NIOCore

/// Appends to each partition and waits until that is read there, the way of everything that is published: so it sees
/// whether the broker takes and delivers, whatever connections look like.
final class LogProbe {
    /// The number of probes that may be lost in a row before the connection is made anew.
    private static let lossCount = 3

    private unowned let core: LogCore
    private var timer: ProbeTimer!
    private var isUnderWay = false
    private var sentAt: UInt64 = 0
    private var losses = 0
    /// When the last probes were sent that have come back from all partitions: what is from before has been read.
    private var provenAt: NIODeadline?
    /// The records that had been read when the probe was sent, or judged last.
    private var readCount: UInt64 = 0
    /// The same of those that were read to catch up.
    private var catchUpCount: UInt64 = 0

    init(_ core: LogCore) {
        self.core = core
        timer = ProbeTimer(core.loop, interval: core.options.probeInterval) { [unowned self] in judge() }
    }

    func start() { timer.start() }

    func stop() { timer.stop() }

    func send() {
        guard !timer.isStopped else { return }
        isUnderWay = core.isConnected
        sentAt = NIODeadline.now().uptimeNanoseconds
        readCount = core.readCount
        catchUpCount = core.catchUpCount
        core.sendProbes()
        timer.restart()
    }

    /// Notes that a probe has come back in some partition.
    func returned() {
        guard isUnderWay, core.silentPartitions.isEmpty else { return }
        isUnderWay = false
        losses = 0
        provenAt = .uptimeNanoseconds(sentAt)
        core.statistics.lastProbe = NIODeadline.now().uptimeNanoseconds &- sentAt
    }

    private func judge() {
        if core.connection == nil { core.open() }
        if let provenAt { core.nodes.sweep(at: provenAt) }
        guard isUnderWay, core.isConnected else { return send() }
        let now = NIODeadline.now().uptimeNanoseconds
        // What was written before a start is read first, however long that takes: nothing is appended meanwhile.
        guard core.catchUpCount == catchUpCount else { return send() }
        // Behind much else, a probe may take longer; but not for ever.
        let waited = now &- sentAt
        let isReading = core.readCount != readCount || core.isCatchingUp
        readCount = core.readCount
        guard !isReading || waited > 10 &* timer.pause else { return timer.restart() }
        losses += 1
        core.statistics.probesLost += 1
        let text = Duration.nanoseconds(Int64(clamping: waited)).secondsText
        core.noteFault(
            "\(core.name) is connected, but what is appended is not delivered: no probe came back for \(text) s")
        if losses >= Self.lossCount {
            losses = 0
            core.open()
        } else {
            for partition in core.silentPartitions where partition.phase == .live { partition.readAgain() }
        }
        send()
    }
}
