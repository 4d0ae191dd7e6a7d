import CLinux
import Rooms

/// History that grows too old or too large, and users who have not come back.
extension Worker {
    /// Deadlines of history are looked at this coarsely: what is too old is not handed out in any case.
    private static let historyGrain: Int64 = 1_000

    /// What the history of the channels whose home is here may cost.
    private var historyByteLimit: Int { configuration.historyByteCount / configuration.workerCount }

    /// Puts a message into a room's history.
    func keep(_ object: UnsafeRawBufferPointer, _ room: Room, at now: Int64) {
        changeHistory(room) { $0.append(seq: room.seq, at: now, object) }
        shedHistory()
        noteDeadline(room)
    }

    /// Changes a room's history; the only way to, because it counts what all of them cost.
    func changeHistory(_ room: Room, _ change: (inout History) -> Void) {
        let before = room.history.byteCount
        change(&room.history)
        statistics.historyBytes += room.history.byteCount - before
    }

    /// Has `expireRooms` called in time for a room.
    func noteDeadline(_ room: Room) {
        guard let deadline = room.nextDeadline else { return }
        let isLeave = room.presence.nextDeadline == deadline
        let grain = isLeave ? 1 : Worker.historyGrain
        roomsDueAt = min(roomsDueAt ?? .max, (deadline / grain + 1) * grain)
    }

    /// Looks at every room once something in one of them is due.
    func expireRooms() {
        guard let due = roomsDueAt else { return }
        let now = clinux_realtime_milliseconds()
        guard now >= due else { return }
        roomsDueAt = nil
        for index in channels.indices {
            guard let channel = channels.find(index), let room = channel.room else { continue }
            changeHistory(room) { $0.expire(now: now) }
            for name in room.presence.expire(now: now) { announce("leave", name, channel, room, now) }
            noteDeadline(room)
            channels.removeIfUnused(index)
        }
    }

    /// Where the limit is passed, forgets the history of the channels that have been quiet longest, down to seven eighths
    /// of it.
    func shedHistory() {
        guard statistics.historyBytes > historyByteLimit else { return }
        let goal = historyByteLimit / 8 * 7
        let rooms = channels.indices.compactMap { channels.find($0)?.room }.filter { $0.history.count > 0 }
            .sorted { $0.history.newestTime < $1.history.newestTime }
        for room in rooms {
            while statistics.historyBytes > goal, room.history.count > 0 {
                changeHistory(room) { $0.dropOldest() }
            }
            if statistics.historyBytes <= goal { return }
        }
    }
}
