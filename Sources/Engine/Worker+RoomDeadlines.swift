import CLinux
import Rooms

/// History that grows too old or too large, and users who have not come back.
extension Worker {
    /// Deadlines of history are looked at this coarsely: what is too old is not handed out in any case.
    private static let historyGrain: Int64 = 1_000

    /// What the history of the channels whose home is here may cost: of all that may be held for clients a quarter at most.
    private var historyByteLimit: Int {
        let memory = configuration.memoryByteCount
        let limit = memory > 0 ? min(configuration.historyByteCount, memory / 4) : configuration.historyByteCount
        return limit / configuration.workerCount
    }

    /// A message has been published: its history may be what is too much, or become due.
    func noteHistory(_ channel: Channel, _ home: ChannelHome, at now: Int64) {
        guard home.settings.keepsHistory, let room = home.room else { return }
        if !room.isQueued {
            room.isQueued = true
            if historyQueue.count >= 2 * channels.homeCount + 1_024 { forgetStaleRooms() }
            historyQueue.append((channel.index, room.epoch, now))
        }
        shedHistory()
        noteDeadline(room)
    }

    private func forgetStaleRooms() {
        historyQueue.removeSubrange(..<historyQueueNext)
        historyQueueNext = 0
        historyQueue.removeAll { room(at: $0.index)?.epoch != $0.epoch }
    }

    private func room(at index: UInt32) -> Room? { channels.find(index)?.home?.room }

    /// Has `expireRooms` called in time for a room.
    func noteDeadline(_ room: Room) {
        guard let deadline = room.nextDeadline else { return }
        let isLeave = room.presence.nextDeadline == deadline
        let grain = isLeave ? 1 : Worker.historyGrain
        roomsDueAt = min(roomsDueAt ?? .max, (deadline / grain + 1) * grain)
    }

    /// Looks at every room once something in one of them is due, at so many in a turn.
    func expireRooms() {
        guard let due = roomsDueAt else { return }
        let now = clinux_realtime_milliseconds()
        if expiryPosition == nil {
            guard now >= due else { return }
            expiryPosition = 0
            // What becomes due from now on is noted anew.
            roomsDueAt = .max
        }
        let start = expiryPosition ?? 0
        let end = min(channels.indices.upperBound, start + Worker.roomsPerLook)
        for index in start..<max(start, end) {
            guard let channel = channels.find(index), let home = channel.home, let room = home.room else { continue }
            home.expire(at: now, &text)
            markPublished(channel, at: nanoseconds)
            noteDeadline(room)
            channels.removeIfUnused(index)
        }
        guard end >= channels.indices.upperBound else {
            expiryPosition = end
            return
        }
        expiryPosition = nil
        if roomsDueAt == .max { roomsDueAt = nil }
    }

    /// Rooms that are looked at in one turn.
    private static let roomsPerLook: UInt32 = 4_096

    /// Where the limit is passed, forgets the history of the channels that have been quiet longest.
    ///
    /// - Parameter byteCount: forget so much in any case.
    func shedHistory(byteCount: Int = 0) {
        guard byteCount > 0 || channels.historyCost.byteCount > historyByteLimit else { return }
        let goal = max(0, min(historyByteLimit - Worker.historySlack, channels.historyCost.byteCount - byteCount))
        while channels.historyCost.byteCount > goal, historyQueueNext < historyQueue.count {
            let (index, epoch, time) = historyQueue[historyQueueNext]
            historyQueueNext += 1
            guard let room = room(at: index), room.epoch == epoch else { continue }
            // Who has said something since goes to the end.
            guard room.history.newestTime <= time else {
                historyQueue.append((index, epoch, room.history.newestTime))
                continue
            }
            while channels.historyCost.byteCount > goal, room.history.count > 0 {
                room.changeHistory { $0.dropOldest() }
            }
            if room.history.count > 0 {
                historyQueueNext -= 1
            } else {
                room.isQueued = false
                if channels.find(index)?.isPublished == false { channels.removeIfUnused(index) }
            }
        }
        if historyQueueNext >= 1_024, historyQueueNext * 2 >= historyQueue.count {
            historyQueue.removeFirst(historyQueueNext)
            historyQueueNext = 0
        }
    }

    /// How far below the limit it goes, so that not every message drops another.
    private static let historySlack = 16 * 1024
}
