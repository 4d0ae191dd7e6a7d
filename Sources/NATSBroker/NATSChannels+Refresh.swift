import Base
import BrokerSupport
import NIOCore

// Keeps channels in their streams in which nothing happens while they are used: they would begin anew otherwise.
extension NATSChannels {
    func scheduleRefresh() {
        refresh?.cancel()
        refresh = core.loop.assumeIsolated().scheduleTask(in: TimeAmount(core.options.refreshInterval)) { [weak self] in
            guard let self else { return }
            refreshQuiet()
            scheduleRefresh()
        }
    }

    func stop() { refresh?.cancel() }

    private func refreshQuiet() {
        let now = Self.seconds()
        let pause = UInt32(clamping: core.options.refreshInterval.components.seconds)
        for (name, entry) in entries where entry.state == .live && now &- entry.touchedAt >= pause {
            let stream = stream(of: entry)
            mark(name, stream, after: entry.tip) { [weak self] answer in
                self?.refreshed(name, stream, after: entry.tip.seq, answer)
            }
        }
    }

    private func refreshed(_ name: Name, _ stream: ChannelStream, after seq: UInt64, _ answer: StreamAnswer) {
        switch answer {
        case .stored, .refused: break
        // A message was stored; perhaps it has come meanwhile.
        case .outrun: if let entry = entries[name], entry.state == .live, entry.tip.seq == seq { askAgain(name) }
        case .nobody, .inProcess, .unknown: core.streams.forget(stream.name)
        }
    }
}
