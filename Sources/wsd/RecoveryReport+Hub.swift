import Base
import CLinux
import Control
import Engine
import Metrics

extension RecoveryReport {
    init(_ recovered: RecoveredHistory) {
        self.init(channels: recovered.channelCount, messages: recovered.messageCount, problem: recovered.problem)
        guard problem == nil else { return }
        let age = clinux_monotonic_nanoseconds() &- recovered.writtenAt
        takenAt = RFC3339.string(millisecondsSinceEpoch: Clock.milliseconds() - Int64(clamping: age / 1_000_000))
    }

    /// Adds the metrics of the crash after which this process began.
    func add(to text: inout MetricsText) {
        text.add(
            "wsd_recovered_channels", .gauge,
            "Channels that went on with the history of a snapshot, because the process before was killed.", channels)
    }
}
