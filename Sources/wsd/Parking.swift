import Engine
import Glibc
import Logging
import Systemd

/// Hands everything to the next process of the service, for a restart that no client notices.
struct Parking {
    let hub: Hub
    let notifier: Notifier
    let consumers: Consumers
    let logger: Logger
    /// Whether a broker shares the channels, which has to take what was published.
    var hasBroker: Bool

    /// How long answers of others are waited for.
    private var patience: Duration { hasBroker ? .seconds(2) : .milliseconds(500) }

    /// The exit status that tells the service manager to start the next process, even if nobody has asked it for a restart:
    /// `RestartForceExitStatus=` in the unit.
    static let exitStatus = EX_TEMPFAIL
    /// The maximum number of pairs of sockets with descriptors. With the state, and what a process that was killed has
    /// left, they are fewer than `FileDescriptorStoreMax=` in the unit.
    private static let maximumPairCount = 6
    /// The fewest descriptors that the store has to take: the state, a pair, and another state that was not removed.
    private static let leastStoreLimit = 3

    /// The time in which the service manager closes what it does not take, after it has read that. systemd before 254 does so
    /// at once, later ones leave it to a thread.
    private static let closingTime: Duration = .milliseconds(10)

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
    private static let callTime: Duration = .seconds(2)

    /// The time that the rest of the process has to end by itself if parking has failed.
    private static let endTime: Duration = .seconds(10)

    /// Tells the service manager that it begins.
    func announce() { notifier.stopping(status: "parking \(hub.connectionCount) connections") }

    /// Parking that has begun: it waits for calls that are in progress.
    struct Begun {
        fileprivate let callTime: Task<Void, Never>
        fileprivate let parked: Task<Void, Never>

        /// Parks now, for no call is in progress any more. Returns only if that fails.
        func callsHaveEnded() async {
            callTime.cancel()
            await parked.value
        }
    }

    /// Parks everything, and ends the process, as soon as no call is in progress or their time is over.
    func begin() -> Begun {
        let callTime = Task { _ = try? await Task.sleep(for: Self.callTime) }
        let parked = Task {
            await callTime.value
            await consumers.stop()
            await run()
            // A call that waits for what has ended meanwhile would keep the process.
            Task {
                try? await Task.sleep(for: Self.endTime)
                _exit(Self.exitStatus)
            }
        }
        return Begun(callTime: callTime, parked: parked)
    }

    /// Parks everything and ends the process. Returns only if that fails; all connections are closed then.
    private func run() async {
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
        guard file >= 0, await store(state: file, sent) else {
            // Before anybody is told that it is over, so that nobody goes on with it. If the state is kept, the histories
            // go on.
            await notifier.removeStored(name: Inheritance.socketsName)
            for socket in parked.sockets[..<sent.count] { socket.close() }
            return
        }
        logger.notice(
            "parked \(sent.count) connections, closed \(parked.closedCount + parked.sockets.count - sent.count)",
            metadata: ["bytes": "\(byteCount)"])
        // Without closing a socket: the peer would learn of it.
        _exit(Self.exitStatus)
    }

    /// Leaves the state and the receiving ends to the service manager. Returns whether it keeps them: it closes those for
    /// which there is no room, and says so to nobody.
    private func store(state file: Int32, _ sent: DescriptorPost.Sent) async -> Bool {
        // There may be no room for both: the snapshots, which are older, and the sockets of the process before, if it could
        // not be told to remove them.
        await notifier.removeStored(names: [Inheritance.socketsName] + Snapshots.names)
        guard await notifier.store(file, name: Inheritance.stateName) else { return false }
        for end in sent.ends {
            guard await notifier.store(end, name: Inheritance.socketsName) else { return false }
        }
        notifier.barrier()
        for end in sent.ends { close(end) }
        // Nothing was removed since the state was stored: where there was room for an end, there was for the state.
        guard !sent.ends.isEmpty, DescriptorPost.areKept(sent.sources, patience: Self.closingTime) else {
            logger.error(
                """
                the service manager has not taken the connections, so \(sent.count) are closed: set \
                FileDescriptorStoreMax=8 in the unit
                """)
            return false
        }
        return true
    }
}
