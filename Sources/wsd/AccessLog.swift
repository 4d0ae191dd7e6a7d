import Base
import Configuration
import Engine
import Logging
import Settings
import Synchronization
import WebSocket

/// The access log: a line for each handshake that is accepted or refused and for each connection that ends, in the
/// format of wsd.toml(5).
final class AccessLog: Sendable {
    /// The maximum number of lines per second in the mode `limited`.
    private static let linesPerSecond = 50

    private struct State {
        var mode = Settings.AccessLog.off
        /// The start of the second that is being counted, and the lines in it.
        var since = ContinuousClock.now
        var lines = 0
        /// The number of lines that were left out and not reported yet.
        var leftOut = 0
        /// The number of lost events that has been reported already.
        var lost: UInt64 = 0
    }

    private let state = Mutex(State())
    private let logger: Logger
    private let lostEvents: @Sendable () -> UInt64

    /// - Parameters:
    ///   - logger: writes from "info" on, whatever `log.level` says.
    ///   - lostEvents: returns how many events of the engine were lost before they came here.
    init(logger: Logger, lostEvents: @escaping @Sendable () -> UInt64) {
        self.logger = logger
        self.lostEvents = lostEvents
    }

    /// Changes the mode.
    func setMode(_ mode: Settings.AccessLog) {
        state.withLock {
            // Events that were lost while the log was off are not reported as missing.
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
        // The number is also reported if no further line comes.
        Task {
            try? await Task.sleep(for: .seconds(1))
            tellWhatIsMissing()
        }
    }

    /// Logs how many lines are missing, as far as that has not been reported yet.
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

    /// Formats a duration as "61.250"; if the clock was set back, the duration is zero rather than negative.
    private static func seconds(_ milliseconds: Int64) -> String {
        let (seconds, rest) = max(0, milliseconds).quotientAndRemainder(dividingBy: 1000)
        return "\(seconds).\("\(1000 + rest)".dropFirst())"
    }
}
