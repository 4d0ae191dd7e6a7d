import Configuration
import Engine
import Logging
import Synchronization
import WebSocket

/// The access log: a line for each handshake that is decided and for each connection that ends, as wsd.toml(5) has them.
final class AccessLog: Sendable {
    /// Lines in a second where they are limited.
    private static let linesPerSecond = 50

    private struct State {
        var mode = Configuration.AccessLog.off
        /// When the second began that is counted, and the lines in it.
        var since = ContinuousClock.now
        var lines = 0
        /// Lines that were left out and not told of.
        var leftOut = 0
        /// Events that were lost before they came here, and told of.
        var lost: UInt64 = 0
    }

    private let state = Mutex(State())
    private let logger: Logger
    private let lostEvents: @Sendable () -> UInt64

    /// - Parameters:
    ///   - logger: writes from "info" on, whatever `log.level` says.
    ///   - lostEvents: how many events the engine has told of and nobody got.
    init(logger: Logger, lostEvents: @escaping @Sendable () -> UInt64) {
        self.logger = logger
        self.lostEvents = lostEvents
    }

    /// Another mode holds from now on.
    func setMode(_ mode: Configuration.AccessLog) {
        state.withLock {
            // What was lost while nobody wanted to know is not missing.
            if $0.mode == .off { $0.lost = lostEvents() }
            $0.mode = mode
        }
        if mode == .off { tellWhatIsMissing() }
    }

    /// Writes the line of an event, if it has one.
    func note(_ event: EngineEvent) {
        let mode = state.withLock { $0.mode }
        guard mode != .off else { return }
        switch event {
        case .opened(let id, let address, let port, let endpoint, let user, _, let userAgent):
            let fields: Logger.Metadata = [
                "address": "\(address)", "agent": Self.text(userAgent), "connection": "\(id)", "path": "\(endpoint)",
                "port": "\(port)", "status": "\(HTTPStatus.switchingProtocols.rawValue)", "user": Self.text(user),
            ]
            write("opened", fields)
        case .ended(let ending): write(ending)
        case .dropping, .acceptFailed: break
        }
    }

    private func write(_ ending: Ending) {
        var fields: Logger.Metadata = [
            "address": "\(ending.address)", "agent": Self.text(ending.userAgent), "cause": "\(ending.label)",
            "path": Self.text(ending.endpoint), "port": ending.port > 0 ? "\(ending.port)" : "-",
            "reason": Self.text(ending.text), "user": Self.text(ending.user),
        ]
        guard case .closed(_, let code) = ending.reason else {
            fields["status"] = ending.status.map { "\($0.rawValue)" } ?? "-"
            return write("refused", fields)
        }
        fields["bytes-in"] = "\(ending.bytesIn)"
        fields["bytes-out"] = "\(ending.bytesOut)"
        fields["code"] = "\(code.rawValue == 0 ? CloseCode.abnormal : code)"
        fields["connection"] = Self.text(ending.id?.description)
        fields["seconds"] = "\(Self.seconds(ending.connectedAt.map { ending.time - $0 } ?? 0))"
        write("closed", fields)
    }

    private func write(_ kind: String, _ fields: Logger.Metadata) {
        let (isWritten, isFirstLeftOut, isNew) = state.withLock { state in
            let now = ContinuousClock.now
            let isNew = now - state.since >= .seconds(1)
            if isNew { (state.since, state.lines) = (now, 0) }
            state.lines += 1
            guard state.mode == .limited, state.lines > Self.linesPerSecond else { return (true, false, isNew) }
            state.leftOut += 1
            return (false, state.leftOut == 1, isNew)
        }
        if isNew { tellWhatIsMissing() }
        if isWritten { logger.info("access \(kind)", metadata: fields) }
        guard isFirstLeftOut else { return }
        // Also where nothing more comes.
        Task {
            try? await Task.sleep(for: .seconds(1))
            tellWhatIsMissing()
        }
    }

    /// Says how many lines are missing that nothing was said of.
    func tellWhatIsMissing() {
        let lost = lostEvents()
        let (leftOut, lostNow) = state.withLock { state in
            defer { (state.leftOut, state.lost) = (0, lost) }
            return (state.leftOut, state.mode == .off ? 0 : lost - min(lost, state.lost))
        }
        if leftOut > 0 { logger.info("access left-out", metadata: ["count": "\(leftOut)"]) }
        if lostNow > 0 { logger.warning("access lost", metadata: ["count": "\(lostNow)"]) }
    }

    private static func text(_ text: String?) -> Logger.MetadataValue {
        text.map { $0.isEmpty ? "-" : "\($0)" } ?? "-"
    }

    /// "61.250"; a clock that was set back makes no time negative.
    private static func seconds(_ milliseconds: Int64) -> String {
        let (seconds, rest) = max(0, milliseconds).quotientAndRemainder(dividingBy: 1000)
        return "\(seconds).\("\(1000 + rest)".dropFirst())"
    }
}
