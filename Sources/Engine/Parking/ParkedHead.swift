import Base
import Operations
import Settings
import TLSHandshake

/// The first section of a `ParkingFile`: what is the same for all workers.
struct ParkedHead {
    /// The generation of the last configuration.
    var generation: UInt32
    /// Whether a broker shared the channels between nodes.
    var isShared: Bool
    /// The times by which the restart is judged.
    var times: ParkingTimes
    /// The number of connections that could not be parked.
    var closedCount: Int
    /// The endpoints by the index by which connections refer to them.
    var endpoints: [Settings.Endpoint]
    /// The counters of all workers.
    var statistics = Statistics()
    /// How the last connections have ended.
    var endings: [Event] = []
    /// The keys of session tickets, the newest first, each with its time in seconds of the monotonic clock.
    var ticketKeys: [TicketKeys.Key] = []

    func write(to state: inout StateWriter) {
        state.write(generation)
        state.write(isShared)
        state.write(times.begunAt)
        state.write(times.settled)
        state.write(times.written)
        state.write(count: closedCount)
        state.write(count: endpoints.count)
        for endpoint in endpoints {
            state.write(endpoint.path)
            state.write(endpoint.protocol.name)
            state.write(endpoint.channel)
        }
        statistics.write(to: &state)
        state.write(count: endings.count)
        for ending in endings { ending.write(to: &state) }
        state.write(count: ticketKeys.count)
        for key in ticketKeys {
            state.write(key.secret)
            state.write(count: key.madeAt)
        }
    }
}

extension ParkedHead {
    init(from state: inout StateReader) throws(StateError) {
        generation = try state.number()
        // No process reloads so often that the generations end.
        try state.require(generation < 1 << 31, "a generation")
        isShared = try state.flag()
        times = ParkingTimes(begunAt: try state.number(), settled: try state.number(), written: try state.number())
        closedCount = try state.count(atMost: Int(Int32.max))
        endpoints = []
        for _ in 0..<(try state.elementCount(ofAtLeast: 3)) {
            let path = try state.text()
            let name = try state.text()
            let channel = try state.text()
            // An endpoint of a protocol that this version does not have is like none of its own.
            let known = ClientProtocol.allCases.first { $0.name == name }
            endpoints.append(
                Settings.Endpoint(path: known == nil ? "" : path, protocol: known ?? .relay, channel: channel))
        }
        try statistics.add(from: &state)
        for _ in 0..<(try state.elementCount(ofAtLeast: 8)) { endings.append(try Event(from: &state)) }
        guard !state.isAtEnd else { return }
        for _ in 0..<(try state.count(atMost: TicketKeys.maximumCount)) {
            let secret = try state.bytes(atMost: 128)
            guard let key = TicketKeys.Key(secret, madeAt: try state.count(atMost: .max)) else { continue }
            ticketKeys.append(key)
        }
    }
}

/// The times of parking, in nanoseconds.
package struct ParkingTimes: Sendable, Equatable {
    /// The time of the monotonic clock at which nothing was read from clients any more. The clock is the same for all
    /// processes of a machine.
    package var begunAt: UInt64
    /// From then until nothing was under way between workers.
    package var settled: UInt64
    /// From then until everything was written down.
    package var written: UInt64
}
