import Base
import Broker
import Synchronization

/// What the broker has delivered and the workers have not taken: its size, and the channels of which something was
/// dropped because it was too much. It may be used from any thread.
///
/// The broker is read however much waits, because its answers come the same way, and because it ends connections that are
/// not read. So what has no room is dropped, a channel at a time: first its home is told (`BrokerEvent.interrupted`), and
/// everything is dropped that follows, until the channel's state comes, which the home asks for once it has taken what
/// was delivered before. So each channel has at most one hole, which is filled from its history or told as a gap.
final class BrokerDeliveries: Sendable {
    private let size = Atomic<Int>(0)
    private let dropped = Atomic<UInt64>(0)
    private let interrupted = Mutex<Set<Name>>([])

    /// The size that may wait where `limits.memory` sets no lower one, in bytes.
    private static let byteLimit = 64 * 1024 * 1024
    /// The size that may wait however low `limits.memory` is, in bytes.
    private static let leastByteLimit = 256 * 1024

    /// The size that may wait, in bytes: at most an eighth of `limits.memory`, which is 0 if there is none.
    static func limit(memory: Int) -> Int {
        memory > 0 ? max(leastByteLimit, min(byteLimit, memory / 8)) : byteLimit
    }

    /// The size of what waits, in bytes.
    var byteCount: Int { size.load(ordering: .relaxed) }

    /// The number of batches and histories that were dropped.
    var droppedCount: UInt64 { dropped.load(ordering: .relaxed) }

    /// Counts the events that are for workers, and returns them. Of those with publications or lists of users, none is among
    /// them while more than `limit` bytes wait.
    func admit(_ events: [BrokerEvent], limit: Int) -> [BrokerEvent] {
        interrupted.withLock { interrupted in
            events.compactMap { event in
                let admitted = admit(event, hasRoom: byteCount <= limit, &interrupted)
                if let admitted { size.add(admitted.byteCount, ordering: .relaxed) }
                return admitted
            }
        }
    }

    private func admit(_ event: BrokerEvent, hasRoom: Bool, _ interrupted: inout Set<Name>) -> BrokerEvent? {
        switch event {
        case .delivered(let batch):
            guard !interrupted.isEmpty || !hasRoom else { return event }
            let name = Name(batch.channel)
            let isNew = !interrupted.contains(name)
            guard !isNew || !hasRoom else { return event }
            dropped.add(1, ordering: .relaxed)
            return isNew ? interrupt(batch.channel, &interrupted) : nil
        case .gap(let channel, _):
            return interrupted.contains(Name(channel)) ? nil : event
        case .subscribed(let channel, _, let history), .renumbered(let channel, _, let history):
            guard hasRoom || history.isEmpty else {
                dropped.add(1, ordering: .relaxed)
                // The home may have asked already, and this may be the answer.
                return interrupt(channel, &interrupted)
            }
            interrupted.remove(Name(channel))
            return event
        case .interrupted(let channel):
            return interrupt(channel, &interrupted)
        case .members(let channel, let token, let members):
            return hasRoom || members == nil ? event : .members(channel: channel, token: token, nil)
        case .accepted, .refused:
            return event
        case .message, .health:
            return nil
        }
    }

    private func interrupt(_ channel: String, _ interrupted: inout Set<Name>) -> BrokerEvent {
        interrupted.insert(Name(channel))
        return .interrupted(channel: channel)
    }

    /// Uncounts what a worker has taken.
    func finish(byteCount: Int) { size.subtract(byteCount, ordering: .relaxed) }

    /// Forgets that something of a channel was dropped, as nobody here wants it any more.
    func forget(_ channel: String) {
        interrupted.withLock { interrupted in
            if !interrupted.isEmpty { interrupted.remove(Name(channel)) }
        }
    }
}
