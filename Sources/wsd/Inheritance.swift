import CLinux
import Control
import Engine
import Glibc
import Logging
import Metrics
import Settings
import Synchronization
import Systemd

/// What the process before has left in the service manager's store for this one: a file with everything that its
/// connections and channels know, and the sockets.
struct Inheritance {
    /// The names of the descriptors in the store.
    static let stateName = "wsd-state"
    static let socketsName = "wsd-connections"
    static let names: Set<String> = [stateName, socketsName]

    /// The name of the newest snapshot of a process that was killed; nil if there is none, or it is not wanted.
    let snapshotName: String?
    /// Whether there are snapshots.
    private let hasSnapshots: Bool
    private let stored: [(name: String, descriptor: Int32)]
    /// Whether the descriptors have been taken, so that nobody else may use them.
    private static let isTaken = Atomic(false)

    private let snapshot: Int32?
    /// Whether the snapshot is not gone on with, because what is in it may be what has ended other processes.
    private let isSnapshotDropped: Bool
    private let keepsSnapshots: Bool
    private let room: Int

    /// - Parameters:
    ///   - keepsSnapshots: whether this process keeps snapshots, and goes on with those that were left.
    ///   - room: the maximum number of connections to take over.
    init(_ passed: [(name: String, descriptor: Int32)], keepsSnapshots: Bool, room: Int) {
        self.keepsSnapshots = keepsSnapshots
        self.room = room
        stored = passed.filter { Self.names.contains($0.name) }
        let snapshots = passed.filter { Snapshots.names.contains($0.name) }
        hasSnapshots = !snapshots.isEmpty
        let newest = keepsSnapshots ? snapshots.max { Self.age(of: $0.descriptor) < Self.age(of: $1.descriptor) } : nil
        isSnapshotDropped = newest.map { MemoryFile.noteReading(of: $0.descriptor) > 1 } ?? false
        snapshotName = newest?.name
        snapshot = isSnapshotDropped ? nil : newest?.descriptor
        for other in snapshots where other.descriptor != snapshot { close(other.descriptor) }
    }

    private static func age(of descriptor: Int32) -> UInt64 {
        let file = MemoryFile(reading: dup(descriptor))
        return withExtendedLifetime(file) { ParkedState.age(of: file.bytes) }
    }

    /// The maximum time over which connections that are not taken over are closed. Until then they are silent.
    private static let longestFarewell = Duration.seconds(5)

    /// The time over which connections that are not taken over are closed, while their clients are already served again.
    static func farewell(_ drain: Settings.Drain) -> Duration { min(drain.period, longestFarewell) }

    /// Makes a hub that takes over what was left. Returns it with the connections that it has not taken over, to be closed.
    func adopt(_ make: (ParkedState?) -> Hub) -> (hub: Hub, refused: [ParkedSocket]) {
        // The memory of a snapshot is held no longer than necessary: there will be another.
        let snapshot = snapshot.map { MemoryFile(reading: $0) }
        guard !stored.isEmpty else {
            return withExtendedLifetime(snapshot) { (make(snapshot.map { ParkedState(snapshot: $0.bytes) }), []) }
        }
        Self.isTaken.store(true, ordering: .relaxed)
        // There are two files if a process has ended before it could remove the first.
        let files = stored.filter { $0.name == Self.stateName }.map {
            (readings: MemoryFile.noteReading(of: $0.descriptor), file: MemoryFile(reading: $0.descriptor))
        }
        let newest = files.max { ParkedState.age(of: $0.file.bytes) < ParkedState.age(of: $1.file.bytes) }
        let bytes = newest?.file.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
        let sockets = Self.sockets(stored, room: room)
        return withExtendedLifetime((files, snapshot)) {
            guard let readings = newest?.readings, readings > 0 else {
                let hub = make(ParkedState(bytes: bytes, sockets: sockets))
                return (hub, hub.adopted?.refused ?? [])
            }
            // A process has begun to go on with it, and was killed: it may have given further numbers. If that happens
            // again, it may be because of what is in it.
            if let snapshot, ParkedState.age(of: snapshot.bytes) > ParkedState.age(of: bytes) {
                return (make(ParkedState(snapshot: snapshot.bytes)), sockets)
            }
            return (make(readings == 1 ? ParkedState(snapshot: bytes) : nil), sockets)
        }
    }

    /// Takes the sockets that were left, and closes those for which there is no room.
    private static func sockets(_ stored: [(name: String, descriptor: Int32)], room: Int) -> [ParkedSocket] {
        var sockets: [ParkedSocket] = []
        for (name, descriptor) in stored where name == socketsName {
            DescriptorPost.receive(from: descriptor) { items in
                sockets += items.map { ParkedSocket(descriptor: $0.descriptor, isTorn: $0.isMarked) }
                guard sockets.count > room else { return }
                // Room for the next message, too.
                let most = max(0, room - DescriptorPost.mostAtOnce)
                for var socket in sockets[most...] {
                    socket.reason = "the server was restarted and has no room for this connection"
                    socket.close()
                }
                sockets.removeSubrange(most...)
            }
        }
        return sockets
    }

    /// The connections that were left to a process that can't start, which tells them the reason.
    static func abandoned(_ passed: [(name: String, descriptor: Int32)], _ reason: String) -> [ParkedSocket] {
        guard !isTaken.load(ordering: .relaxed) else { return [] }
        return sockets(passed, room: Hub.raiseDescriptorLimit() - reserve).map { socket in
            var socket = socket
            socket.reason = reason
            return socket
        }
    }

    /// The descriptors that a process that can't start needs besides the connections of the process before.
    private static let reserve = 128

    /// Removes what was left from the store, and says what has become of it. Where snapshots are kept, the state stays until
    /// there is one: nobody else would know the histories if this process were killed before.
    ///
    /// - Returns: the names of what the service manager could not be told to remove.
    func finish(_ hub: Hub, _ notifier: Notifier, _ logger: Logger) async -> [String] {
        var obsolete = hasSnapshots && snapshotName == nil ? Snapshots.names : []
        if !stored.isEmpty {
            let isTakenOver = hub.recovered.map { $0.problem == nil } ?? hub.adopted.map { $0.problem == nil } ?? false
            obsolete += keepsSnapshots && isTakenOver ? [Self.socketsName] : Array(Self.names)
        }
        let left = await notifier.removeStored(names: obsolete)
        report(hub, logger)
        return left
    }

    private func report(_ hub: Hub, _ logger: Logger) {
        if let recovered = hub.recovered { Self.log(recovered, logger) }
        let isDropped = !stored.isEmpty && hub.adopted == nil && hub.recovered == nil
        if isSnapshotDropped || isDropped {
            let what = isDropped ? "what an earlier process has left" : "the snapshot that an earlier process has left"
            logger.error("\(what) is dropped: two processes have ended while they took it over")
        }
        guard let adopted = hub.adopted else { return }
        let report = RestartReport(adopted)
        var fields: Logger.Metadata = [
            "adopted": "\(report.adopted)", "handshakes": "\(report.handshakes)", "closed": "\(report.closed)",
        ]
        for (phase, seconds) in report.phases { fields["\(phase)-ms"] = "\(Int(seconds * 1_000))" }
        if let problem = report.problem {
            logger.error(
                "what the process before has left can't be read, so \(report.closed) connections are closed: \(problem)",
                metadata: fields)
            return
        }
        let silence = report.silentSeconds.map { " after \(Int($0 * 1_000)) ms" } ?? ""
        logger.notice(
            "restarted: \(report.adopted) connections go on\(silence), \(report.closed) were closed", metadata: fields)
    }

    private static func log(_ recovered: RecoveredHistory, _ logger: Logger) {
        if let problem = recovered.problem {
            logger.error(
                "the snapshot that the process before has left can't be read, so histories are lost: \(problem)")
            return
        }
        let age = Double(clinux_monotonic_nanoseconds() &- recovered.writtenAt) / 1e9
        logger.notice(
            "the process before was killed: \(recovered.channelCount) channels go on with the history of its snapshot",
            metadata: ["messages": "\(recovered.messageCount)", "age-seconds": "\((age * 10).rounded() / 10)"])
    }
}

extension RestartReport {
    init(_ adopted: Adopted) {
        self.init(
            adopted: adopted.openCount, handshakes: adopted.handshakeCount, closed: adopted.closedCount,
            problem: adopted.problem)
        guard let times = adopted.times, adopted.begunAt > times.begunAt else { return }
        let seconds = { (nanoseconds: UInt64) in Double(nanoseconds) / 1e9 }
        let start = adopted.begunAt &- times.begunAt &- times.settled &- times.written
        silentSeconds = seconds(adopted.completedAt &- times.begunAt)
        phases = [
            "settle": seconds(times.settled), "write": seconds(times.written), "start": seconds(start),
            "adopt": seconds(adopted.completedAt &- adopted.begunAt),
        ]
    }
}

extension RestartReport {
    /// Adds the metrics of the restart by which this process began.
    func add(to text: inout MetricsText) {
        text.add(
            "wsd_restart_connections", .gauge, "Connections at the restart by which this process began, by result.",
            [
                ([("result", "kept")], adopted), ([("result", "handshake")], handshakes),
                ([("result", "closed")], closed),
            ])
        guard let silentSeconds else { return }
        text.add(
            "wsd_restart_silence_seconds", .gauge,
            "From the last read of the process before to the first of this one.", silentSeconds)
        text.add(
            "wsd_restart_phase_seconds", .gauge, "Of that, each phase of the restart.",
            phases.sorted { $0.key < $1.key }.map { ([("phase", $0.key)], $0.value) })
    }
}
