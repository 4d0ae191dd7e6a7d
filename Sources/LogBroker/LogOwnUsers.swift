import Base
import Broker
import NIOCore

/// The users on this node in the channels of one partition, and what the others were told of them.
final class LogOwnUsers {
    struct Key: Hashable {
        var channel: Name
        var user: Name
    }

    private struct State {
        var time: Int64
        var isPresent: Bool
        var isAnnounced: Bool
        /// Whether the members know, so that it is not announced.
        var isSilent = false
    }

    private unowned let partition: LogPartition
    /// Users whom the others were told of.
    private var told: [Key: State] = [:]
    /// What they have to be told, the last of each user, and its place in the order of the first.
    private var changes: [Key: (state: State, place: UInt64)] = [:]
    private var lastPlace: UInt64 = 0
    private var isSayingAll = false
    private var isEnding = false

    init(_ partition: LogPartition) { self.partition = partition }

    func change(_ change: PresenceChange) {
        note(
            change.key,
            State(
                time: change.time, isPresent: change.isPresent, isAnnounced: change.isAnnounced,
                isSilent: change.isSilent))
    }

    private func note(_ key: Key, _ state: State) {
        // Who came and went in between was never there.
        guard state.isPresent || told[key] != nil else {
            changes[key] = nil
            return
        }
        lastPlace += 1
        changes[key] = (state, changes[key]?.place ?? lastPlace)
    }

    /// Hands over what the others have to be told, once they have been told what was handed over before.
    func flush() {
        guard partition.writer.hasReadUsers || isEnding else { return }
        let due = changes.sorted { $0.value.place < $1.value.place }
        changes = [:]
        for (key, change) in due {
            told[key] = change.state.isPresent ? change.state : nil
            told[key]?.isSilent = false
        }
        for rows in records(of: due.filter { !$0.value.state.isSilent }.map { row($0.key, $0.value.state) }) {
            partition.writer.append(.content(.changes(rows)))
        }
        // Whoever reads these announces nothing.
        for rows in records(of: due.filter(\.value.state.isSilent).map { row($0.key, $0.value.state) }) {
            partition.writer.append(.content(.users(rows, isFirst: false, isLast: false)))
        }
        if isSayingAll { writeAll() }
    }

    /// Rows, in as many records as they take.
    private func records(of all: [LogRecord.UserChange]) -> [[LogRecord.UserChange]] {
        var records: [[LogRecord.UserChange]] = []
        var size = LogWriter.recordByteCount
        for row in all {
            if size >= LogWriter.recordByteCount {
                records.append([])
                size = 0
            }
            records[records.count - 1].append(row)
            size += row.byteCount
        }
        return records
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
        let records = records(of: told.map { row($0.key, $0.value) })
        for (place, rows) in records.enumerated() {
            partition.writer.append(
                .content(.users(rows, isFirst: place == 0, isLast: place == records.count - 1)))
        }
        if records.isEmpty { partition.writer.append(.content(.users([], isFirst: true, isLast: true))) }
    }

    /// Notes that others have taken this node for gone, and have announced that.
    func wereRemoved() {
        for (key, state) in told where changes[key] == nil { note(key, state) }
        told = told.filter { changes[$0.key]?.state.isPresent == false }
        partition.core.pumpSoon()
    }

    /// Has all users leave.
    func withdraw(at time: Int64) {
        isEnding = true
        for (key, state) in told {
            note(key, State(time: time, isPresent: false, isAnnounced: state.isAnnounced))
        }
    }
}

extension PresenceChange {
    var key: LogOwnUsers.Key { LogOwnUsers.Key(channel: Name(channel), user: Name(user)) }
}
