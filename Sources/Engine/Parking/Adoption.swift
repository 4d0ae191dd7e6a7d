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
            for section in file.sections.dropFirst() {
                var state = StateReader(section)
                try read(&state)
            }
        } catch {
            for (parked, _, _) in connections { parked.free() }
            throw error
        }
    }

    private mutating func read(_ state: inout StateReader) throws(StateError) {
        let context = workers[0].context
        var shard = ShardReader(
            output: SharedOutputReader(frames: context.account.frames, history: context.account.history),
            channelCount: 0, endpointCount: head.endpoints.count)
        var names: [String] = []
        for _ in 0..<(try state.elementCount(ofAtLeast: 2)) {
            let name = try state.text()
            names.append(name)
            guard try state.flag() else { continue }
            let worker = workers[ChannelTable.home(of: name, workerCount: workers.count)]
            let index = worker.channels.intern(name)
            try worker.channels[index].home?.restore(
                from: &state, &shard.output.blocks, generation: configuration.generation, isSnapshot: isSnapshot)
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
                if adopt(socket, parked, open, worker, channelNames[section]) {
                    adopted.openCount += 1
                } else {
                    adopted.closedCount += 1
                }
            }
        }
        // Sockets of which the state knows nothing.
        for socket in byCookie.values { socket.close(reason: ParkedSocket.restarting) }
        tellHomes()
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

    private func adopt(
        _ socket: ParkedSocket?, _ parked: ParkedConnection, _ open: ParkedConnection.Open, _ worker: Worker,
        _ names: [String]
    ) -> Bool {
        guard let socket else {
            forgo(parked, open, worker, names, "its socket was lost at a restart")
            return false
        }
        let endpoint = head.endpoints[open.endpoint]
        guard let index = configuration.endpoint(like: endpoint) else {
            forgo(parked, open, worker, names, "the endpoint \(endpoint.path) is not served any more")
            socket.close(reason: "the endpoint \(endpoint.path) is not served any more")
            return false
        }
        guard worker.adopt(socket, parked, open, endpoint: index, names) else {
            forgo(parked, open, worker, names, "no room for another connection")
            socket.close(reason: "no room for another connection")
            return false
        }
        return true
    }

    /// Takes a connection that does not go on out of its channels, and records its end.
    private func forgo(
        _ parked: ParkedConnection, _ open: ParkedConnection.Open, _ worker: Worker, _ names: [String], _ reason: String
    ) {
        parked.free()
        let user = open.session.map { $0.identity.user ?? "guest-\(open.id)" }
        for membership in open.session?.memberships.all ?? [] where membership.generation > 0 {
            let name = names[Int(membership.channel)]
            let home = workers[ChannelTable.home(of: name, workerCount: workers.count)]
            guard let user, let index = home.channels.index(of: name) else { continue }
            let channel = home.channels[index]
            guard let own = channel.home else { continue }
            home.left(user, channel, own, isLost: true, countedUnder: membership.generation)
        }
        worker.telemetry.statistics.closed[Int(CloseCause.restarting.rawValue)] &+= 1
        worker.telemetry.statistics.countClose(CloseCode.serviceRestart.rawValue)
        var event = Event(.close, millisecondsSinceEpoch: clinux_realtime_milliseconds())
        event.id = open.id
        event.address = parked.address
        event.endpoint = head.endpoints[open.endpoint].path
        event.user = user
        event.cause = CloseCause.restarting.label
        event.code = Int(CloseCode.serviceRestart.rawValue)
        event.text = reason
        event.connectedSince = Timestamp(millisecondsSinceEpoch: open.connectedAt)
        worker.telemetry.endings.append(event, .restarting)
    }

    /// Tells the homes of channels which encodings are in use where.
    private func tellHomes() {
        for worker in workers {
            for index in worker.channels.indices {
                guard let channel = worker.channels.find(index), channel.home == nil else { continue }
                let home = workers[channel.homeWorker]
                let there = home.channels.intern(channel.name)
                home.channels[there].home?.setEncodings(channel.encodings, ofWorker: worker.index)
            }
        }
    }
}
