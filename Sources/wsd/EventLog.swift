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
            feed.send(event.event)
        }
        for (kind, state) in kinds where state.left > 0 { summarise(kind, state.left) }
        access.tellWhatIsMissing()
    }

    private mutating func log(_ told: EngineEvent) {
        let event = told.event
        let cause = event.cause ?? ""
        let text = event.text ?? ""
        switch event.kind {
        case .connect:
            var metadata = metadata(event)
            metadata["address"] = event.address.map { "\($0):\(told.port)" }
            logger.debug("connection opened", metadata: metadata)
        case .refuse:
            guard mayLog("refused: \(cause)") else { return }
            logger.info("refused: \(text)", metadata: metadata(event))
        case .close:
            guard !told.isNoteworthy || mayLog("closed: \(cause)") else { return }
            logger.log(
                level: told.isNoteworthy ? .info : .debug, "connection closed: \(text.isEmpty ? cause : text)",
                metadata: metadata(event))
        case .slow:
            guard mayLog("dropping") else { return }
            logger.info("slow consumer: messages to it are being dropped", metadata: metadata(event))
        case .trouble:
            guard mayLog("accept failed") else { return }
            let error = told.errorNumber
            let hint = DescriptorLimit.advice(acceptError: error).map { "; \($0)" } ?? ""
            logger.error(
                "accepting connections fails, trying again: \(errorText(error))\(hint)",
                metadata: ["errno": "\(error)"])
        case .reload, .drain: break
        }
    }

    /// What a line says of an event besides its text.
    private func metadata(_ event: Event) -> Logger.Metadata {
        var metadata: Logger.Metadata = [:]
        if let address = event.address { metadata["address"] = "\(address)" }
        if let cause = event.cause { metadata["cause"] = "\(cause)" }
        if let endpoint = event.endpoint { metadata["endpoint"] = "\(endpoint)" }
        if let code = event.code { metadata["code"] = "\(CloseCode(rawValue: UInt16(clamping: code)))" }
        if let id = event.id { metadata["connection"] = "\(id)" }
        if event.kind != .connect, event.kind != .refuse, let channel = event.channel {
            metadata["channel"] = "\(channel)"
        }
        if let queued = event.queuedBytes, queued > 0 || event.kind == .slow { metadata["queued-bytes"] = "\(queued)" }
        return metadata
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
