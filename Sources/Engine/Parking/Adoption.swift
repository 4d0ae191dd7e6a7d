import Base
import CLinux
import Channels
import Glibc
import Operations
import Settings
import WebSocket

/// Takes over what an earlier process has written down, before the workers' threads begin.
///
/// The channels go to their homes, of which there may be others than before, and the connections to the workers in
/// turn. Nothing is sent, and no socket is touched, before all of it has been read.
struct Adoption {
    private let workers: [Worker]
    private let head: ParkedHead
    private let configuration: EngineConfiguration
    private let isSnapshot: Bool
    /// The connections with the worker that each goes to, and its section's channels.
    private var connections: [(parked: ParkedConnection, worker: Int, section: Int)] = []
    /// The names of the channels by section.
    private var channelNames: [[String]] = []

    /// Reads the sections into workers that have not begun. After an error the workers must not be used.
    ///
    /// - Parameter isSnapshot: whether the file is a snapshot of the histories of a process that has gone on after it.
    init(
        _ file: ParkingFile, _ head: ParkedHead, into workers: [Worker], isSnapshot: Bool = false
    ) throws(StateError) {
        self.workers = workers
        self.isSnapshot = isSnapshot
        self.head = head
        configuration = workers[0].configuration
        for worker in workers { worker.clock.read() }
        do throws(StateError) {
            let sections = file.sections.dropFirst()
            let known = sections.count > 1 ? KnownSegments() : nil
            for section in sections {
                var state = StateReader(section)
                try read(&state, known)
            }
        } catch {
            for (parked, _, _) in connections { parked.free() }
            throw error
        }
    }

    private mutating func read(_ state: inout StateReader, _ known: KnownSegments?) throws(StateError) {
        let context = workers[0].context
        var shard = ShardReader(
            output: SharedOutputReader(
                frames: context.account.frames, history: context.account.history, known: known),
            channelCount: 0, endpointCount: head.endpoints.count)
        var names: [String] = []
        for _ in 0..<(try state.elementCount(ofAtLeast: 2)) {
            let name = try state.text()
            names.append(name)
            guard try state.flag() else { continue }
            let worker = workers[ChannelTable.home(of: name, workerCount: workers.count)]
            let index = worker.channels.intern(name)
            try worker.channels[index].home?.restore(
                from: &state, &shard.output.blocks, generation: configuration.generation, isSnapshot: isSnapshot,
                wasShared: head.isShared)
        }
        shard.channelCount = names.count
        for _ in 0..<(try state.elementCount(ofAtLeast: 4)) {
            var entry = StateReader(try state.bytes())
            let worker = connections.count % workers.count
            let parked = try ParkedConnection(from: &entry, clock: workers[worker].clock, &shard)
            connections.append((parked, worker, channelNames.count))
        }
        try state.require(state.isAtEnd, "more than the connections")
        channelNames.append(names)
    }

    // MARK: Taking over

    /// Goes on with the histories of a snapshot, and says how much they are.
    func completeSnapshot() -> RecoveredHistory {
        // A state that an earlier process has read in vain has connections, too.
        for (parked, _, _) in connections { parked.free() }
        for worker in workers { worker.completeAdoption() }
        var recovered = RecoveredHistory(writtenAt: head.times.begunAt)
        for channel in workers.lazy.flatMap({ worker in worker.channels.indices.lazy.map { worker.channels.find($0) } })
        {
            guard let room = channel?.home?.room else { continue }
            recovered.channelCount += 1
            recovered.messageCount += room.history.count
        }
        return recovered
    }

    /// Gives the connections their sockets and their places.
    func complete(_ sockets: [ParkedSocket]) -> Adopted {
        var adopted = Adopted()
        adopted.times = head.times
        adopted.closedCount = head.closedCount
        remember()
        var byCookie: [UInt64: ParkedSocket] = [:]
        for socket in sockets { byCookie[clinux_socket_cookie(socket.descriptor)] = socket }
        var left: [Left] = []
        for (parked, number, section) in connections {
            let worker = workers[number]
            let socket = byCookie.removeValue(forKey: parked.cookie)
            switch parked.state {
            case .handshake(let head):
                if let socket, worker.adopt(socket, parked, head: head) {
                    adopted.handshakeCount += 1
                } else {
                    parked.free()
                    adopted.closedCount += 1
                }
            case .open(let open):
                if let obstacle = adopt(socket, parked, open, worker, channelNames[section]) {
                    if var socket {
                        socket.reason = obstacle
                        socket.sealed = worker.lastRecords(parked, open, obstacle)
                        adopted.refused.append(socket)
                    }
                    forgo(parked, open, worker, obstacle)
                    left += memberships(open, channelNames[section])
                    adopted.closedCount += 1
                } else {
                    adopted.openCount += 1
                }
            }
        }
        // Sockets of which the state knows nothing.
        adopted.refused += byCookie.values
        tellHomes()
        for each in left { each.tellHome(workers) }
        for worker in workers { worker.completeAdoption() }
        for worker in workers { worker.recount() }
        return adopted
    }

    /// Goes on with the counters, and with what is known of endings.
    private func remember() {
        workers[0].telemetry.statistics += head.statistics
        for (place, ending) in head.endings.enumerated() {
            workers[place % workers.count].telemetry.endings.append(ending)
        }
    }

    /// Gives a connection its place; returns the reason if it has none.
    private func adopt(
        _ socket: ParkedSocket?, _ parked: ParkedConnection, _ open: ParkedConnection.Open, _ worker: Worker,
        _ names: [String]
    ) -> String? {
        guard let socket else { return "its socket was lost at a restart" }
        let endpoint = head.endpoints[open.endpoint]
        guard let index = configuration.endpoint(like: endpoint) else {
            return "the endpoint \(endpoint.path) is not served any more"
        }
        let isTaken = worker.adopt(socket, parked, open, endpoint: index, names)
        return isTaken ? nil : "no room for another connection"
    }

    /// Records the end of a connection that does not go on.
    private func forgo(
        _ parked: ParkedConnection, _ open: ParkedConnection.Open, _ worker: Worker, _ reason: String
    ) {
        parked.free()
        worker.telemetry.statistics.closed[Int(CloseCause.restarting.rawValue)] &+= 1
        worker.telemetry.statistics.countClose(CloseCode.serviceRestart.rawValue)
        var event = Event(.close, millisecondsSinceEpoch: clinux_realtime_milliseconds())
        event.id = open.id
        event.address = parked.address
        event.endpoint = head.endpoints[open.endpoint].path
        event.user = open.user
        event.cause = CloseCause.restarting.label
        event.code = Int(CloseCode.serviceRestart.rawValue)
        event.text = reason
        event.connectedSince = Timestamp(millisecondsSinceEpoch: open.connectedAt)
        worker.telemetry.endings.append(event, .restarting)
    }

    /// A member that does not go on. Its channel's home is told once it knows which encodings are in use: the other
    /// members may have to be told, too.
    private struct Left {
        var user: String
        var channel: String
        /// The configuration under which it was counted.
        var generation: UInt32

        func tellHome(_ workers: [Worker]) {
            let worker = workers[ChannelTable.home(of: channel, workerCount: workers.count)]
            guard let index = worker.channels.index(of: channel), let home = worker.channels[index].home else { return }
            worker.left(user, worker.channels[index], home, isLost: true, countedUnder: generation)
        }
    }

    private func memberships(_ open: ParkedConnection.Open, _ names: [String]) -> [Left] {
        guard let user = open.user, let memberships = open.session?.memberships.all else { return [] }
        return memberships.filter { $0.generation > 0 }.map {
            Left(user: user, channel: names[Int($0.channel)], generation: $0.generation)
        }
    }

    /// Tells the homes of channels which encodings are in use where, and the other workers since when members are counted
    /// as they are, so that those who were counted are not counted again.
    private func tellHomes() {
        for worker in workers {
            for index in worker.channels.indices {
                guard let channel = worker.channels.find(index) else { continue }
                let home = workers[channel.homeWorker]
                let there = home.channels.intern(channel.name)
                guard let known = home.channels[there].home else { continue }
                if channel.home == nil { known.setEncodings(channel.encodings, ofWorker: worker.index) }
                channel.noteCounting(since: known.countedSince)
            }
        }
    }
}

extension ParkedConnection.Open {
    /// The name of its user; nil if it has neither user nor requests.
    fileprivate var user: String? { session.map { $0.identity.user ?? "guest-\(id)" } }
}
