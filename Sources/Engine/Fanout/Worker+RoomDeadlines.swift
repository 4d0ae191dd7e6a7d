import Base
import CLinux
import Channels
import Settings

/// The expiry of history that is too old or too large, and of users that have not come back.
extension Worker {
    /// The granularity of history's deadlines in milliseconds. It may be coarse, because messages that are too old are
    /// never sent.
    private static let historyGrain: Int64 = 1_000

    /// The maximum cost of the history of the channels whose home is here; for all workers, at most a quarter of the
    /// memory limit.
    private var historyByteLimit: Int {
        let memory = configuration.memoryByteCount
        let limit = configuration.limits.historyByteCount
        return (memory > 0 ? min(limit, memory / 4) : limit) / configuration.workerCount
    }

    /// Notes that a message has been added to a history, which may now exceed the limit or get a deadline.
    func noteHistory(_ channel: Channel, _ home: ChannelHome, at now: Int64) {
        guard home.settings.keepsHistory, let room = home.room else { return }
        if !room.isQueued {
            room.isQueued = true
            if homes.histories.count >= 2 * channels.homeCount + 1_024 {
                homes.histories.keep { self.room(at: $0.index)?.epoch == $0.epoch }
            }
            homes.histories.append((channel.index, room.epoch, now))
        }
        shedHistory()
        noteDeadline(room)
    }

    private func room(at index: UInt32) -> Room? { channels.find(index)?.home?.room }

    /// Makes sure that `expireRooms` is called in time for a room.
    func noteDeadline(_ room: Room) {
        guard let deadline = room.nextDeadline else { return }
        let isLeave = room.presence.nextDeadline == deadline
        let grain = isLeave ? 1 : Worker.historyGrain
        homes.roomsDueAt = min(homes.roomsDueAt ?? .max, (deadline / grain + 1) * grain)
    }

    /// Expires all rooms once one of them is due, a limited number per turn.
    func expireRooms() {
        guard let due = homes.roomsDueAt else { return }
        let now = clinux_realtime_milliseconds()
        if homes.expiryPosition == nil {
            guard now >= due else { return }
            homes.expiryPosition = 0
            // Deadlines after this are noted anew.
            homes.roomsDueAt = .max
            expireQuestions()
        }
        let start = homes.expiryPosition ?? 0
        let end = min(channels.indices.upperBound, start + Worker.roomsPerLook)
        for index in start..<max(start, end) {
            guard let channel = channels.find(index), let home = channel.home else { continue }
            expireShared(channel, home)
            if let room = home.room {
                home.expire(at: now, &outbox.text)
                markPublished(channel, at: nanoseconds)
                markShared(channel, home)
                noteDeadline(room)
            }
            channels.removeIfUnused(index)
        }
        guard end >= channels.indices.upperBound else {
            homes.expiryPosition = end
            return
        }
        homes.expiryPosition = nil
        if homes.roomsDueAt == .max { homes.roomsDueAt = nil }
    }

    /// The number of channels checked in one turn.
    private static let roomsPerLook: UInt32 = 4_096

    /// If the limit is exceeded, drops history of the channels that have been quiet longest.
    ///
    /// - Parameter byteCount: the size to drop in any case.
    func shedHistory(byteCount: Int = 0) {
        guard byteCount > 0 || channels.historyCost.byteCount > historyByteLimit else { return }
        let goal = max(0, min(historyByteLimit - Worker.historySlack, channels.historyCost.byteCount - byteCount))
        while channels.historyCost.byteCount > goal, let (index, epoch, time) = homes.histories.first {
            guard let room = room(at: index), room.epoch == epoch else {
                homes.histories.takeFirst()
                continue
            }
            // A channel with newer messages goes to the end.
            guard room.history.newestTime <= time else {
                homes.histories.takeFirst()
                homes.histories.append((index, epoch, room.history.newestTime))
                continue
            }
            while channels.historyCost.byteCount > goal, room.history.count > 0 {
                room.changeHistory { $0.dropOldest() }
            }
            channels.find(index)?.home?.shared?.isShed = true
            guard room.history.count == 0 else { break }
            homes.histories.takeFirst()
            room.isQueued = false
            if channels.find(index)?.isPublished == false { channels.removeIfUnused(index) }
        }
    }

    /// The size in bytes by which it goes below the limit, so that not every message drops another.
    private static let historySlack = 16 * 1024
}
