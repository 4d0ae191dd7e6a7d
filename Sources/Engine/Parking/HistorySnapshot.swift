import Base
import CLinux
import Channels
import Operations

/// What is left of all histories if this process is killed: the messages with their numbers, in the format of a
/// `ParkingFile` without connections and members.
///
/// The process goes on after it, so whoever adopts it has to give each channel a new epoch: it does not know which of the
/// numbers that follow have been given already.
package struct HistorySnapshot: Sendable {
    /// The file's bytes, piece by piece; empty if there is no history.
    package var pieces: [[UInt8]]
    package var channelCount: Int
    package var messageCount: Int
    package var mark: Mark

    /// What differs as soon as a message has been published, or one that was kept has been dropped.
    package struct Mark: Sendable, Equatable {
        fileprivate var numberedCount: UInt64
        fileprivate var byteCount: Int
    }

    package var byteCount: Int { pieces.reduce(0) { $0 + $1.count } }
}

/// One channel in a snapshot. The messages are references to blocks that don't change, so that they can be written
/// outside of the worker.
struct RoomSnapshot: Sendable {
    var name: String
    var position: MessagePosition
    var history: HistorySlice

    /// Writes the channel as `Worker.writeChannels` does, with nobody in it.
    func write(to state: inout StateWriter, _ blocks: inout SharedWriter<HistoryBlock>) {
        state.write(name)
        state.write(true)
        ChannelHome.write(tracksPresence: false, false, 0, to: &state)
        state.write(true)
        Room.write(position, 0, Presence(leaveDelay: 0), to: &state)
        history.writeHistory(to: &state, &blocks)
    }
}

extension Hub {
    /// Takes a snapshot of all histories, while the workers go on; nil if they are as they were at `mark`.
    ///
    /// It is not of one moment, but each channel in it is. A channel that is forgotten and made anew meanwhile may be
    /// missing.
    package func snapshot(since mark: HistorySnapshot.Mark? = nil) async -> HistorySnapshot? {
        let begunAt = clinux_monotonic_nanoseconds()
        let now = HistorySnapshot.Mark(
            numberedCount: await ask { .operation(.countNumbered($0)) }.reduce(0, &+),
            byteCount: await statistics().reduce(0) { $0 + $1.historyBytes })
        guard now != mark else { return nil }
        var snapshot = HistorySnapshot(pieces: [], channelCount: 0, messageCount: 0, mark: now)
        let head = ParkedHead(
            generation: runningConfiguration.generation, isShared: false,
            times: ParkingTimes(begunAt: begunAt, settled: 0, written: 0), closedCount: 0, endpoints: [])
        var first = StateWriter()
        head.write(to: &first)
        var sections = [first.pieces]
        for mailbox in mailboxes {
            var rooms: [RoomSnapshot] = []
            await walk(mailbox, { .operation(.snapshot(from: $0, $1)) }) { rooms += $0 }
            sections.append(Self.section(rooms))
            snapshot.channelCount += rooms.count
            snapshot.messageCount += rooms.reduce(0) { $0 + $1.history.messageCount }
        }
        if snapshot.channelCount > 0 { snapshot.pieces = [ParkingFile.front(of: sections)] + sections.joined() }
        return snapshot
    }

    /// A section with channels and no connections.
    private static func section(_ rooms: [RoomSnapshot]) -> [[UInt8]] {
        var state = StateWriter()
        var blocks = SharedWriter<HistoryBlock>()
        state.write(count: rooms.count)
        for room in rooms { room.write(to: &state, &blocks) }
        state.write(count: 0)
        return state.pieces
    }
}

extension Worker {
    /// The number of channels looked at in one turn for a snapshot. Each costs 1.1 µs, measured with 10 messages in each,
    /// however many it has: so a turn takes 0.3 ms.
    private static let roomsPerLook: UInt32 = 256

    /// The channels with a history whose home is here, among those from a place on.
    func roomSnapshots(from start: UInt32) -> Slice<RoomSnapshot> {
        let all = channels.indices
        let end = min(all.upperBound, start.addingReportingOverflow(Self.roomsPerLook).partialValue)
        var found: [RoomSnapshot] = []
        for index in start..<max(start, end) {
            guard let channel = channels.find(index), let home = channel.home, home.shared == nil, let room = home.room
            else { continue }
            var history: HistorySlice?
            room.changeHistory { history = $0.slice(after: 0, quotedChannel: room.quotedName) }
            guard let history else { continue }
            found.append(
                RoomSnapshot(
                    name: channel.name, position: MessagePosition(epoch: room.epoch, seq: room.seq), history: history))
        }
        return Slice(found: found, next: end < all.upperBound ? end : nil)
    }
}
