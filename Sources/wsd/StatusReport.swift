import Control
import Systemd

/// Keeps the line in `systemctl status` up to date, and asks systemd for more time during a drain.
struct StatusReport: Sendable {
    let backend: HubBackend
    let notifier: Notifier

    private static let interval: Duration = .seconds(2)

    /// Reports until cancelled. Sends nothing if nobody listens, or if nothing has changed.
    func run() async {
        guard notifier.isPresent else { return }
        var last = ""
        while !Task.isCancelled {
            let status = await backend.status()
            if status.state == .draining { notifier.extendTimeout(.seconds(15)) }
            let text = text(status)
            if text != last, notifier.status(text) { last = text }
            do { try await Task.sleep(for: StatusReport.interval) } catch { return }
        }
    }

    /// The state of the hub in one line.
    func text() async -> String { await text(backend.status()) }

    private func text(_ status: HubStatus) -> String {
        if let drain = status.drain {
            return "draining: \(drain.connectionsLeft) of \(drain.connectionsAtStart) connections left"
        }
        var text = status.notReady.map { "\($0); " } ?? ""
        text += "\(status.connections) of \(status.maxConnections) connections, "
        text += "\(status.messagesIn) messages in, \(status.messagesOut) out"
        if status.slowConsumers > 0 {
            text += ", \(status.slowConsumers) slow with \(status.queuedBytes) bytes queued"
        }
        if let keys = status.pendingRestart, !keys.isEmpty {
            text += "; only after a restart: \(keys.joined(separator: ", "))"
        }
        if let keys = status.unusedKeys, !keys.isEmpty { text += "; not used: \(keys.joined(separator: ", "))" }
        return text
    }
}
