import Broker
import Logging
import Synchronization

/// Decides what the log says of a source: each change, and no reason twice until the source works again.
struct ConsumerLog {
    struct Line: Equatable {
        var level: Logger.Level
        var text: String
    }

    /// The number of reasons that one failure is given.
    private static let reasonCountLimit = 10

    private let name: String
    private var phase: SourceState.Phase?
    private var reasons: Set<String> = []
    private var refusal: String?

    init(_ name: String) { self.name = name }

    /// Notes the state, and why publications were refused last; returns what there is to say about it.
    mutating func note(_ next: SourceState.Phase, refusal nextRefusal: String?) -> [Line] {
        var lines: [Line] = []
        if next != phase {
            switch next {
            case .reading:
                lines.append(Line(level: .notice, text: "reads \(name)"))
                reasons = []
            case .standby(let reader):
                lines.append(Line(level: .notice, text: "does not read \(name), which \(reader) does"))
                reasons = []
            case .down(let reason):
                if reasons.count < Self.reasonCountLimit, reasons.insert(reason).inserted {
                    lines.append(Line(level: .warning, text: "can't read \(name): \(reason)"))
                }
            }
            phase = next
        }
        if let nextRefusal, refusal == nil {
            let text = "the records of \(name) wait, for they are refused: \(nextRefusal)"
            lines.append(Line(level: .warning, text: text))
        } else if nextRefusal == nil, refusal != nil {
            lines.append(Line(level: .notice, text: "the records of \(name) are published again"))
        }
        refusal = nextRefusal
        return lines
    }
}

/// Tells the log of records that can't be published: a line in ten seconds at most, of one or of how many there were besides.
final class RejectionLog: Sendable {
    private static let interval: Duration = .seconds(10)

    private let name: String
    private let logger: Logger
    private let state = Mutex((toldAt: ContinuousClock.Instant?.none, untoldCount: 0))

    init(_ name: String, _ logger: Logger) {
        self.name = name
        self.logger = logger
    }

    func note(_ record: SettledRecord) {
        let now = ContinuousClock.now
        let untold: Int? = state.withLock { state in
            if let toldAt = state.toldAt, now - toldAt < Self.interval {
                state.untoldCount += 1
                return nil
            }
            defer { state = (now, 0) }
            return state.untoldCount
        }
        guard let untold else { return }
        let others = untold == 0 ? "" : "; \(untold) others were not since the last such line"
        logger.warning("record \(record.id) of \(name) is not published: \(record.fault ?? "")\(others)")
    }

    /// Tells how many there were since the last line, if a line may come again.
    func tellRestWhenDue() { tellRest { ContinuousClock.now - $0 >= Self.interval } }

    /// Tells how many there were since the last line.
    func tellRest() { tellRest { _ in true } }

    private func tellRest(_ isDue: (ContinuousClock.Instant) -> Bool) {
        let untold = state.withLock { state in
            guard state.untoldCount > 0, state.toldAt.map(isDue) ?? true else { return 0 }
            defer { state = (ContinuousClock.now, 0) }
            return state.untoldCount
        }
        guard untold > 0 else { return }
        logger.warning("\(untold) more records of \(name) are not published, since the last such line")
    }
}
