internal import Broker
internal import Control

/// The records that are being published, in their order.
///
/// A channel whose publication was refused goes back to that record and on from there: what came behind it in the channel
/// is published again, too, even if it was accepted, so that members see the last copy of each record in order. What the
/// broker would take at no time is settled with the reason, once it has been published alone: others are refused with it.
struct PublishWindow {
    struct Entry {
        var id: String
        var message: ChannelMessage
    }

    /// The records that have not been settled.
    private(set) var entries: [Entry]
    /// How often some were refused since the last one that was to be settled for it.
    private var refusalCount = 0
    /// Whether one is published at a time, as one of several may be too large for the broker, or all of them together.
    private var isCautious: Bool { refusalCount >= Self.patience }

    /// The refusals after which that may be the reason, though the broker does not say so: what others publish in a channel
    /// is refused together with it.
    private static let patience = 3

    init(_ entries: [Entry]) { self.entries = entries }

    /// The first records, up to a number of bytes, and at least one.
    func prefix(byteCount limit: Int) -> [ChannelMessage] {
        if isCautious { return entries.prefix(1).map(\.message) }
        var byteCount = 0
        return entries.prefix { entry in
            defer { byteCount += entry.message.message.payload.count }
            return byteCount == 0 || byteCount + entry.message.message.payload.count <= limit
        }.map(\.message)
    }

    /// Notes what has become of the first records, and returns those that are settled by it. `refusal` is the reason of
    /// the first that has to be published again.
    mutating func note(
        _ results: [Result<PublishResult, ControlError>]
    ) -> (settled: [SettledRecord], refusal: String?) {
        var settled: [SettledRecord] = []
        var kept: [Entry] = []
        var held: Set<String> = []
        var refusal: String?
        for (entry, result) in zip(entries, results) {
            switch result {
            case .failure(.messageTooLarge(let byteCount, let limit)):
                settled.append(
                    SettledRecord(
                        id: entry.id,
                        fault: "its message has \(byteCount) bytes; websocket.max_message_size is \(limit)"))
            case .failure(.rejected(let reason)) where results.count == 1:
                settled.append(SettledRecord(id: entry.id, fault: reason))
                refusalCount = 0
            case .success where !held.contains(entry.message.channel): settled.append(SettledRecord(id: entry.id))
            case .success: kept.append(entry)
            case .failure(let error):
                held.insert(entry.message.channel)
                kept.append(entry)
                if case .rejected = error { refusalCount = Self.patience }
                refusal = refusal ?? Self.reason(error)
            }
        }
        if refusal != nil { refusalCount += 1 }
        entries.replaceSubrange(0..<min(results.count, entries.count), with: kept)
        return (settled, refusal)
    }

    private static func reason(_ error: ControlError) -> String {
        switch error {
        case .unavailable(let reason), .rejected(let reason): reason
        default: "\(error)"
        }
    }
}
