import Engine
import Glibc
import Logging
import Systemd

/// Leaves a snapshot of all histories in the service manager's store now and then, for the next process if this one is
/// killed.
struct Snapshots {
    let hub: Hub
    let notifier: Notifier
    let logger: Logger
    let interval: Duration
    /// The name of the snapshot by which this process began, which stays until there is another, as does the state of the
    /// process before.
    let left: String?

    /// The names of the descriptors in the store. They are used in turn, so that one whole snapshot is always there.
    static let names = ["wsd-snapshot-1", "wsd-snapshot-2"]

    /// Whether snapshots are kept, by this configuration and service manager. With a broker there is nothing in them.
    static func areKept(every interval: Duration, hasBroker: Bool, _ notifier: Notifier) -> Bool {
        interval > .zero && !hasBroker && notifier.mayStore(names.count)
    }

    /// Takes snapshots until it is cancelled.
    func run() async {
        var place = left == Self.names[0] ? 1 : 0
        var mark: HistorySnapshot.Mark?
        var leavesState = true
        let clock = ContinuousClock()
        while !Task.isCancelled {
            let begun = clock.now
            if var snapshot = await hub.snapshot(since: mark), !Task.isCancelled {
                let byteCount = snapshot.byteCount
                if await store(&snapshot.pieces, place) {
                    mark = snapshot.mark
                    if byteCount > 0 { place = 1 - place }
                }
                let fields: Logger.Metadata = [
                    "channels": "\(snapshot.channelCount)", "messages": "\(snapshot.messageCount)",
                    "bytes": "\(byteCount)", "time": "\(clock.now - begun)",
                ]
                logger.debug("took a snapshot of the histories", metadata: fields)
            }
            if mark != nil, leavesState, !Task.isCancelled {
                leavesState = await !notifier.removeStored(name: Inheritance.stateName)
            }
            try? await Task.sleep(for: interval)
        }
    }

    /// Stores a snapshot in a place, and then removes the one in the other place.
    private func store(_ pieces: inout [[UInt8]], _ place: Int) async -> Bool {
        guard !pieces.isEmpty else {
            await notifier.removeStored(names: Self.names)
            return true
        }
        let file = MemoryFile.make(name: Self.names[place], &pieces)
        guard file >= 0 else {
            logger.error("no file for a snapshot of the histories: \(String(cString: strerror(errno)))")
            return false
        }
        defer { close(file) }
        // One that a process has left that was killed just then.
        await notifier.removeStored(name: Self.names[place])
        guard await notifier.store(file, name: Self.names[place]) else { return false }
        return await notifier.removeStored(name: Self.names[1 - place])
    }
}
