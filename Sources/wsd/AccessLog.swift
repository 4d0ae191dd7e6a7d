import Base
import Configuration
import Engine
import Logging
import Operations
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
    func note(_ told: EngineEvent) {
        let mode = state.withLock { $0.mode }
        guard mode != .off else { return }
        let event = told.event
        var fields: Logger.Metadata = [
            "address": Self.text(event.address?.description), "agent": Self.text(told.userAgent),
            "path": Self.text(event.endpoint), "port": told.port > 0 ? "\(told.port)" : "-",
            "user": Self.text(event.user),
        ]
        switch event.kind {
        case .connect:
            fields["connection"] = Self.text(event.id?.description)
            fields["status"] = "\(HTTPStatus.switchingProtocols.rawValue)"
            write("opened", fields)
        case .refuse:
            fields["cause"] = Self.text(event.cause)
            fields["reason"] = Self.text(event.text)
            fields["status"] = told.status.map { "\($0.rawValue)" } ?? "-"
            write("refused", fields)
        case .close:
            let code = CloseCode(rawValue: UInt16(clamping: event.code ?? 0))
            fields["bytes-in"] = "\(told.bytesIn)"
            fields["bytes-out"] = "\(told.bytesOut)"
            fields["cause"] = Self.text(event.cause)
            fields["code"] = "\(code.rawValue == 0 ? CloseCode.abnormal : code)"
            fields["connection"] = Self.text(event.id?.description)
            fields["reason"] = Self.text(event.text)
            fields["seconds"] = Self.seconds(from: event.connectedSince ?? event.time, to: event.time)
            write("closed", fields)
        case .slow, .reload, .drain, .trouble: break
        }
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
    private static func seconds(from start: Timestamp, to end: Timestamp) -> Logger.MetadataValue {
        let milliseconds = max(0, end.millisecondsSinceEpoch - start.millisecondsSinceEpoch)
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        return "\(seconds).\("\(1000 + rest)".dropFirst())"
    }
}
