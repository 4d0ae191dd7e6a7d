import Configuration
import Control
import Engine
import Logging
import Operations
import WebSocket

/// Writes the engine's events to the log, at most a few lines of each kind at a time: a storm of refusals must not
/// become a storm of lines. The counters are exact, whatever the log leaves out.
struct EventLog {
    /// The maximum number of lines of one kind within `window`; further ones are counted and reported in one line.
    private static let linesPerWindow = 10
    private static let window: Duration = .seconds(10)

    private let logger: Logger
    private let clock = ContinuousClock()
    private var kinds: [String: (since: ContinuousClock.Instant, lines: Int, left: Int)] = [:]

    init(logger: Logger) { self.logger = logger }

    /// Logs events and sends them to every watcher, until the hub has stopped.
    mutating func follow(_ events: AsyncStream<EngineEvent>, feed: EventFeed, access: AccessLog) async {
        for await event in events {
            log(event)
            access.note(event)
            feed.send(Event(event))
        }
        for (kind, state) in kinds where state.left > 0 { summarise(kind, state.left) }
        access.tellWhatIsMissing()
    }

    private mutating func log(_ event: EngineEvent) {
        switch event {
        case .opened(let id, let address, let port, let endpoint, _, _, _):
            logger.debug(
                "connection opened",
                metadata: ["connection": "\(id)", "address": "\(address):\(port)", "endpoint": "\(endpoint)"])
        case .ended(let ending):
            log(ending)
        case .dropping(let id, let address, let endpoint, _, let channels, let queued):
            guard mayLog("dropping") else { return }
            var metadata: Logger.Metadata = [
                "connection": "\(id)", "address": "\(address)", "endpoint": "\(endpoint)", "queued-bytes": "\(queued)",
            ]
            if let channel = channels.first { metadata["channel"] = "\(channel)" }
            logger.info("slow consumer: messages to it are being dropped", metadata: metadata)
        case .acceptFailed(let error):
            guard mayLog("accept failed") else { return }
            let hint = DescriptorLimit.advice(acceptError: error).map { "; \($0)" } ?? ""
            logger.error(
                "accepting connections fails, trying again: \(errorText(error))\(hint)",
                metadata: ["errno": "\(error)"])
        }
    }

    private mutating func log(_ ending: Ending) {
        var metadata: Logger.Metadata = ["address": "\(ending.address)", "cause": "\(ending.label)"]
        if let endpoint = ending.endpoint { metadata["endpoint"] = "\(endpoint)" }
        guard case .closed(_, let code) = ending.reason else {
            if mayLog("refused: \(ending.label)") { logger.info("refused: \(ending.text)", metadata: metadata) }
            return
        }
        guard !ending.isNoteworthy || mayLog("closed: \(ending.label)") else { return }
        metadata["code"] = "\(code)"
        if let id = ending.id { metadata["connection"] = "\(id)" }
        if let channel = ending.channels.first { metadata["channel"] = "\(channel)" }
        if ending.queuedBytes > 0 { metadata["queued-bytes"] = "\(ending.queuedBytes)" }
        let text = ending.text.isEmpty ? ending.label : ending.text
        logger.log(level: ending.isNoteworthy ? .info : .debug, "connection closed: \(text)", metadata: metadata)
    }

    /// Whether one more line of a kind may be written now.
    private mutating func mayLog(_ kind: String) -> Bool {
        let now = clock.now
        // Any next event also reports what was left out of other kinds.
        for (other, state) in kinds where now - state.since >= EventLog.window {
            if state.left > 0 { summarise(other, state.left) }
            kinds[other] = nil
        }
        var state = kinds[kind] ?? (now, 0, 0)
        if state.lines < EventLog.linesPerWindow { state.lines += 1 } else { state.left += 1 }
        kinds[kind] = state
        return state.left == 0
    }

    private func summarise(_ kind: String, _ count: Int) {
        logger.info("\(count) more lines of this kind were left out: \(kind)")
    }
}
