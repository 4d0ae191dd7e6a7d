import Engine
import Glibc
import Logging
import Systemd

/// Hands everything to the next process of the service, for a restart that no client notices.
struct Parking {
    let hub: Hub
    let notifier: Notifier
    let logger: Logger
    /// Whether a broker shares the channels, which has to take what was published.
    var hasBroker: Bool

    /// How long answers of others are waited for.
    private var patience: Duration { hasBroker ? .seconds(2) : .milliseconds(500) }

    /// The exit status that tells the service manager to start the next process, even if nobody has asked it for a restart:
    /// `RestartForceExitStatus=` in the unit.
    private static let exitStatus = EX_TEMPFAIL
    /// The maximum number of pairs of sockets with descriptors. With the state, and what a process that was killed has
    /// left, they are fewer than `FileDescriptorStoreMax=` in the unit.
    private static let maximumPairCount = 6
    /// The fewest descriptors that the store has to take: the state, a pair, and another state that was not removed.
    private static let leastStoreLimit = 3

    private var pairLimit: Int {
        max(1, min(Self.maximumPairCount, (notifier.storeLimit ?? Self.maximumPairCount + 2) - 2))
    }

    /// Why nothing can be parked; nil if it can be.
    static func obstacle(_ notifier: Notifier) -> String? {
        guard notifier.isPresent else { return "no service manager listens that could keep connections" }
        let limit = notifier.storeLimit ?? leastStoreLimit
        guard limit >= leastStoreLimit else {
            return "the unit keeps \(limit) descriptors for the next process; set FileDescriptorStoreMax=8 in it"
        }
        return nil
    }

    /// How long calls of operators and backends may take to their end, before their connections end without an answer: one
    /// may wait for a broker that can't be reached.
    static let callTime: Duration = .seconds(2)

    /// Tells the service manager that it begins.
    func announce() { notifier.stopping(status: "parking \(hub.connectionCount) connections") }

    /// Parks everything and ends the process. Returns only if that fails; all connections are closed then.
    func run() async {
        var parked = await hub.park(patience: patience)
        let byteCount = parked.byteCount
        let items = parked.sockets.map { DescriptorPost.Item(descriptor: $0.descriptor, isMarked: $0.isTorn) }
        let sent = DescriptorPost.send(items, pairLimit: pairLimit)
        // Those for which there is no room. The next process finds no socket for them.
        for socket in parked.sockets[sent.count...] { socket.close() }
        if sent.error != 0 {
            let number = parked.sockets.count - sent.count
            logger.error("\(number) connections can't be parked: \(String(cString: strerror(sent.error)))")
        }
        let file = MemoryFile.make(name: Inheritance.stateName, &parked.pieces)
        if file < 0 { logger.error("no file for the state: \(String(cString: strerror(errno)))") }
        let hasState = await store(state: file)
        guard hasState, await store(ends: sent.ends) else {
            // Before anybody is told that it is over, so that nobody goes on with it. The histories go on.
            await notifier.removeStored(names: hasState ? [Inheritance.socketsName] : Inheritance.names)
            for socket in parked.sockets[..<sent.count] { socket.close() }
            return
        }
        notifier.barrier()
        logger.notice(
            "parked \(sent.count) connections, closed \(parked.closedCount + parked.sockets.count - sent.count)",
            metadata: ["bytes": "\(byteCount)"])
        // Without closing a socket: the peer would learn of it.
        _exit(Self.exitStatus)
    }

    private func store(state file: Int32) async -> Bool {
        // Those of the process before, if it could not be told to remove them: there may be no room for more.
        await notifier.removeStored(name: Inheritance.socketsName)
        guard file >= 0, await notifier.store(file, name: Inheritance.stateName) else { return false }
        // They are older, and there may be no room for both.
        await notifier.removeStored(names: Snapshots.names)
        return true
    }

    private func store(ends: [Int32]) async -> Bool {
        for end in ends {
            guard await notifier.store(end, name: Inheritance.socketsName) else { return false }
        }
        return true
    }
}
