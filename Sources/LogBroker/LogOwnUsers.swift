import Base
import Broker
import NIOCore

/// The users on this node in the channels of one partition, and what the others were told of them.
final class LogOwnUsers {
    private struct Key: Hashable {
        var channel: Name
        var user: Name
    }

    private struct State {
        var time: Int64
        var isPresent: Bool
        var isAnnounced: Bool
    }

    private unowned let partition: LogPartition
    /// Users whom the others were told of.
    private var told: [Key: State] = [:]
    /// What they have to be told, the last of each user, in the order of the first.
    private var changes: [Key: State] = [:]
    private var order: [Key] = []
    private var isSayingAll = false

    init(_ partition: LogPartition) { self.partition = partition }

    func change(_ change: PresenceChange) {
        note(
            Key(channel: Name(change.channel), user: Name(change.user)),
            State(time: change.time, isPresent: change.isPresent, isAnnounced: change.isAnnounced))
    }

    private func note(_ key: Key, _ state: State) {
        if changes.updateValue(state, forKey: key) == nil { order.append(key) }
    }

    /// Hands over what the others have to be told.
    func flush() {
        if isSayingAll { writeAll() }
        var rows: [LogRecord.UserChange] = []
        var size = 0
        for key in order {
            guard let state = changes[key] else { continue }
            // Who came and went in between was never there.
            if !state.isPresent, told[key] == nil { continue }
            told[key] = state.isPresent ? state : nil
            let row = row(key, state)
            rows.append(row)
            size += row.byteCount
            guard size >= LogWriter.recordByteCount else { continue }
            partition.writer.append(.content(.changes(rows)))
            (rows, size) = ([], 0)
        }
        changes = [:]
        order = []
        if !rows.isEmpty { partition.writer.append(.content(.changes(rows))) }
    }

    private func row(_ key: Key, _ state: State) -> LogRecord.UserChange {
        LogRecord.UserChange(
            channel: key.channel.text, user: key.user.text, time: state.time, isPresent: state.isPresent,
            isAnnounced: state.isAnnounced)
    }

    /// Tells the others of all users again, once in this turn of the loop however often it is asked for.
    func sayAll() {
        guard !isSayingAll else { return }
        isSayingAll = true
        partition.core.pumpSoon()
    }

    private func writeAll() {
        isSayingAll = false
        var rows: [LogRecord.UserChange] = []
        var size = 0
        var isFirst = true
        for (key, state) in told {
            let row = row(key, state)
            rows.append(row)
            size += row.byteCount
            guard size >= LogWriter.recordByteCount else { continue }
            partition.writer.append(.content(.users(rows, isFirst: isFirst, isLast: false)))
            (rows, size, isFirst) = ([], 0, false)
        }
        partition.writer.append(.content(.users(rows, isFirst: isFirst, isLast: true)))
    }

    /// Notes that others have taken this node for gone, and have announced that.
    func wereRemoved() {
        for (key, state) in told where changes[key] == nil { note(key, state) }
        told = told.filter { changes[$0.key]?.isPresent == false }
        partition.core.pumpSoon()
    }

    /// Has all users leave.
    func withdraw(at time: Int64) {
        for (key, state) in told {
            note(key, State(time: time, isPresent: false, isAnnounced: state.isAnnounced))
        }
    }
}
