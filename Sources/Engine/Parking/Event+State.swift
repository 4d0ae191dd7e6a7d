import Base
import Operations

/// The endings that `wsctl why` tells, which the next process remembers, too.
extension Event {
    func write(to state: inout StateWriter) {
        state.write(kind.rawValue)
        state.write(time: time.millisecondsSinceEpoch)
        state.write(cause ?? "")
        state.write(count: code ?? 0)
        state.write(text)
        state.write(id?.rawValue ?? 0)
        state.write(address != nil)
        if let address {
            state.write(address.high)
            state.write(address.low)
        }
        state.write(endpoint)
        state.write(user)
        state.write(count: channels?.count ?? 0)
        for channel in channels ?? [] { state.write(channel) }
        state.write(time: connectedSince?.millisecondsSinceEpoch)
        state.write(count: queuedBytes ?? 0)
        state.write(count: droppedMessages ?? 0)
        state.write(count: more?.count ?? 0)
        guard let more, more.count > 0 else { return }
        state.write(time: more.first.millisecondsSinceEpoch)
        state.write(time: more.last.millisecondsSinceEpoch)
        state.write(more.sameAddress)
    }

    init(from state: inout StateReader) throws(StateError) {
        guard let kind = Kind(rawValue: try state.text()) else { throw state.error("an event of no kind") }
        self.init(kind, millisecondsSinceEpoch: try Self.time(from: &state).millisecondsSinceEpoch)
        cause = try state.text()
        let code = try state.count(atMost: 65_535)
        self.code = code > 0 ? code : nil
        text = try state.optionalText()
        let id: UInt64 = try state.number()
        self.id = id > 0 ? ConnectionID(rawValue: id) : nil
        if try state.flag() { address = IPAddress(high: try state.number(), low: try state.number()) }
        endpoint = try state.optionalText()
        user = try state.optionalText()
        let count = try state.elementCount()
        if count > 0 { channels = [] }
        for _ in 0..<count { channels?.append(try state.text()) }
        connectedSince = try state.time().map { Timestamp(millisecondsSinceEpoch: $0) }
        let queued = try state.count(atMost: .max)
        let dropped = try state.count(atMost: .max)
        if kind == .close { (queuedBytes, droppedMessages) = (queued, dropped) }
        let others = try state.count(atMost: Int(Int32.max))
        guard others > 0 else { return }
        more = Others(
            count: others, first: try Self.time(from: &state), last: try Self.time(from: &state),
            sameAddress: try state.flag())
    }

    private static func time(from state: inout StateReader) throws(StateError) -> Timestamp {
        guard let time = try state.time() else { throw state.error("an event at no time") }
        return Timestamp(millisecondsSinceEpoch: time)
    }
}

extension EndingLogs {
    /// Adds an ending that an earlier process has recorded. One with a cause that this version does not know is left out.
    mutating func append(_ ending: Event) {
        switch ending.kind {
        case .close:
            if let cause = CloseCause.allCases.first(where: { $0.label == ending.cause }) { append(ending, cause) }
        case .refuse:
            if let cause = RefusalCause.allCases.first(where: { $0.label == ending.cause }) { append(ending, cause) }
        default:
            break
        }
    }
}
