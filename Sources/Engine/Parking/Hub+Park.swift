import Base
import CLinux
import TLSHandshake
import TLSRecords

extension Hub {
    /// How much longer than for answers of others is waited until nothing is under way between workers.
    private static let longestSettling: UInt64 = 10_000_000_000

    /// Writes all connections and channels down for the next process, and ends the workers. The sockets stay open.
    ///
    /// From the beginning on, nothing is read from clients, and no commands are taken. What is under way between workers
    /// arrives first, and answers of others, such as the check of a token, are waited for a while; connections that still
    /// wait for one then are closed.
    ///
    /// - Parameter patience: the maximum time to wait for answers of others.
    package func park(patience: Duration = .milliseconds(500)) async -> ParkedHub {
        await gate.close()
        await stopListening()
        // So that a piece of the state that is in the file is memory for the next piece of the file.
        clinux_map_blocks(StateWriter.pieceByteCount / 2)
        let begunAt = clinux_monotonic_nanoseconds()
        await settle(patience: patience, isLast: false)
        // Those that can't be kept leave their channels, which has to arrive, too.
        await settle(patience: .zero, isLast: true)
        let settledAt = clinux_monotonic_nanoseconds()
        let workers = (await ask { .control(.park($0)) } as [ParkedWorker]).sorted { $0.index < $1.index }
        let writtenAt = clinux_monotonic_nanoseconds()
        let times = ParkingTimes(begunAt: begunAt, settled: settledAt - begunAt, written: writtenAt - settledAt)
        let closedCount = workers.reduce(0) { $0 + $1.closedCount }
        let configuration = runningConfiguration
        let head = ParkedHead(
            generation: configuration.generation, isShared: context.broker != nil, times: times,
            closedCount: closedCount, endpoints: configuration.endpoints,
            statistics: Statistics(total: workers.map(\.statistics)), endings: workers.flatMap(\.endings),
            ticketKeys: configuration.tls?.tickets.parked ?? [])
        var first = StateWriter()
        head.write(to: &first)
        let sections = [first.pieces] + workers.map(\.section)
        return ParkedHub(
            pieces: [ParkingFile.front(of: sections)] + sections.joined(), sockets: workers.flatMap(\.sockets),
            times: times, closedCount: closedCount)
    }

    /// Returns when nothing is under way between workers, or that takes all too long.
    ///
    /// - Parameters:
    ///   - patience: the maximum time to wait for answers of others.
    ///   - isLast: as `Worker.settle`.
    private func settle(patience: Duration, isLast: Bool) async {
        let end = clinux_monotonic_nanoseconds() + WorkerClock.nanoseconds(patience)
        // What a worker has sent before its first answer is known to have arrived after its second.
        var answers = 0
        while true {
            let settling = await ask { .control(.settle(isLast: isLast, $0)) } as [Settling]
            answers += 1
            let isQuiet = answers > 1 && settling.allSatisfy(\.isQuiet)
            if isQuiet, settling.allSatisfy({ $0.waitingCount == 0 }) { return }
            let now = clinux_monotonic_nanoseconds()
            // Where something still comes from outside it need not become quiet: it does in the last round.
            if now > end, !isLast || isQuiet || now > end + Hub.longestSettling { return }
            if isQuiet { try? await Task.sleep(for: .milliseconds(5)) }
        }
    }
}

extension Hub {
    /// What parking would do with the connections of this moment.
    package func parkingOutlook() async -> ParkingOutlook {
        (await ask { .operation(.parkingOutlook($0)) } as [ParkingOutlook]).reduce(into: ParkingOutlook()) { $0 += $1 }
    }

    /// What a new hub has taken over.
    struct Beginning {
        var workers: [Worker]
        var adopted: Adopted?
        var recovered: RecoveredHistory?
    }

    /// The workers of a new hub, with what an earlier process has left.
    static func begin(
        _ configuration: EngineConfiguration, _ events: AsyncStream<EngineEvent>.Continuation,
        adopting parked: ParkedState?
    ) -> Beginning {
        // The state has the keys of connections.
        defer { wipeStack() }
        return adopt(configuration, events, parked)
    }

    @inline(never)
    private static func adopt(
        _ configuration: EngineConfiguration, _ events: AsyncStream<EngineEvent>.Continuation, _ parked: ParkedState?
    ) -> Beginning {
        func make(_ configuration: EngineConfiguration) -> [Worker] {
            let context = WorkerContext(configuration: configuration, events: events)
            return (0..<configuration.workerCount).map { Worker(index: $0, context: context, configuration) }
        }
        guard let parked else { return Beginning(workers: make(configuration)) }
        let begunAt = clinux_monotonic_nanoseconds()
        do throws(StateError) {
            let file = try ParkingFile(parked.bytes)
            var first = StateReader(file.sections[0])
            let head = try ParkedHead(from: &first)
            let workers = make(configuration.following(generation: head.generation))
            let adoption = try Adoption(file, head, into: workers, isSnapshot: parked.isSnapshot)
            if parked.isSnapshot { return Beginning(workers: workers, recovered: adoption.completeSnapshot()) }
            configuration.tls?.tickets.adopt(head.ticketKeys)
            var adopted = adoption.complete(parked.sockets)
            adopted.begunAt = begunAt
            adopted.completedAt = clinux_monotonic_nanoseconds()
            return Beginning(workers: workers, adopted: adopted)
        } catch {
            let workers = make(configuration)
            if parked.isSnapshot {
                return Beginning(workers: workers, recovered: RecoveredHistory(problem: error.description))
            }
            var adopted = Adopted()
            adopted.refused = parked.sockets
            adopted.closedCount = parked.sockets.count
            adopted.problem = error.description
            return Beginning(workers: workers, adopted: adopted)
        }
    }
}
