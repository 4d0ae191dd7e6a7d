import Base
import Channels
import Settings

/// A connection as a `ParkingFile` has it: the order of the fields is that of the bytes.
struct ParkedConnection {
    /// The number by which the kernel knows the socket.
    var cookie: UInt64
    var address: IPAddress
    var port: UInt16
    var state: State
    /// The connection's TLS, if it has any. It is freed by `free`, or goes over to a connection's record.
    var secure: Boxed<SecureLink>?

    enum State {
        /// The bytes of an incomplete request head.
        case handshake(head: [UInt8])
        indirect case open(Open)
    }

    /// An open WebSocket. What it owns is freed by `free`, or goes over to a connection's record.
    struct Open {
        var id: ConnectionID
        /// The index of the endpoint in the file's head.
        var endpoint: Int
        /// The window of permessage-deflate in bits; 0 if the connection is not compressed.
        var windowBits: Int
        var isPinged: Bool
        var lastReceived: UInt32
        var connectedAt: Int64
        var messagesIn: UInt64
        var messagesOut: UInt64
        var bytesIn: UInt64
        var bytesOut: UInt64
        var dropped: UInt32
        var messageBucket: RateBucket
        var userAgent: String?
        /// The number of a `relay` client's channel among those of its worker; nil if it has none.
        var channel: Int?
        /// The memberships have the numbers of their channels among those of the worker.
        var session: Session?
        var input: Boxed<PartialInput>?
        var backlog: Backlog?
    }

    /// Frees what would have gone over to a connection's record.
    func free() {
        if case .open(let open) = state { open.input?.free() }
        secure?.value.wipe()
        secure?.free()
    }
}

/// What the connections of one worker refer to while they are written.
struct ShardWriter {
    var output = SharedOutputWriter()
    var userAgents = SharedTextWriter()
    /// The numbers of the channels by their index.
    var channelNumbers: [UInt32: UInt32] = [:]
}

/// What the connections of one worker refer to while they are read.
struct ShardReader {
    var output: SharedOutputReader
    var userAgents = SharedTextReader()
    var channelCount: Int
    var endpointCount: Int
}

extension Connection {
    private static let handshakeByte: UInt8 = 0
    private static let openByte: UInt8 = 1

    /// Writes the connection, which is open or in its handshake.
    func write(
        to state: inout StateWriter, cookie: UInt64, userAgent: String?, now: UInt32, _ secure: Boxed<SecureLink>?,
        _ shard: inout ShardWriter
    ) {
        writePlain(to: &state, cookie: cookie, userAgent: userAgent, now: now, &shard)
        state.write(secure != nil)
        if let secure { secure.value.write(to: &state) }
    }

    private func writePlain(
        to state: inout StateWriter, cookie: UInt64, userAgent: String?, now: UInt32, _ shard: inout ShardWriter
    ) {
        state.write(cookie)
        state.write(self.address.high)
        state.write(self.address.low)
        state.write(self.port)
        guard phase == .open else {
            state.write(byte: Self.handshakeByte)
            state.write(head ?? [])
            return
        }
        state.write(byte: Self.openByte)
        state.write(self.id.rawValue)
        state.write(self.endpoint)
        state.write(byte: UInt8(self.encoding.windowBits ?? 0))
        state.write(self.flags.contains(.pinged))
        state.write(now &- self.lastReceived)
        state.write(time: self.connectedAt)
        state.write(self.messagesIn)
        state.write(self.messagesOut)
        state.write(self.bytesIn)
        state.write(self.bytesOut)
        state.write(self.dropped)
        self.messageBucket.write(to: &state, now: now)
        shard.userAgents.write(userAgent, to: &state)
        let channel = shard.channelNumbers[self.channel]
        state.write(channel != nil)
        if let channel { state.write(channel) }
        state.write(self.session != nil)
        if let session = self.session {
            let numbers = shard.channelNumbers
            session.value.write(to: &state, now: now) { numbers[$0] ?? 0 }
        }
        state.write(self.input != nil)
        if let input = self.input { input.value.write(to: &state, now: now) }
        state.write(self.backlog != nil)
        self.backlog?._withUnsafeGuaranteedRef { $0.write(to: &state, now: now, &shard.output) }
    }
}

extension ParkedConnection {
    /// Reads a connection. What follows in `state` is of a later version, and is passed over.
    init(from state: inout StateReader, clock: WorkerClock, _ shard: inout ShardReader) throws(StateError) {
        cookie = try state.number()
        address = IPAddress(high: try state.number(), low: try state.number())
        port = try state.number()
        switch try state.byte() {
        case 0: self.state = .handshake(head: Array(try state.bytes()))
        case 1: self.state = .open(try Open(from: &state, clock: clock, &shard))
        case let byte: throw state.error("a connection of kind \(byte)")
        }
        do throws(StateError) {
            // The first states had no TLS.
            guard !state.isAtEnd, try state.flag() else { return }
            secure = Boxed(try SecureLink(from: &state))
        } catch {
            free()
            throw error
        }
    }
}

extension ParkedConnection.Open {
    fileprivate init(
        from state: inout StateReader, clock: WorkerClock, _ shard: inout ShardReader
    ) throws(StateError) {
        let now = clock.now
        id = ConnectionID(rawValue: try state.number())
        endpoint = try state.count(atMost: shard.endpointCount - 1)
        windowBits = Int(try state.byte())
        try state.require(windowBits == 0 || 8...15 ~= windowBits, "a window of \(windowBits) bits")
        isPinged = try state.flag()
        lastReceived = clock.tick(ago: try state.number())
        guard let since = try state.time() else { throw state.error("a connection since no time") }
        connectedAt = since
        messagesIn = try state.number()
        messagesOut = try state.number()
        bytesIn = try state.number()
        bytesOut = try state.number()
        dropped = try state.number()
        messageBucket = try RateBucket(from: &state, now: now)
        userAgent = try shard.userAgents.read(from: &state)
        channel = try state.flag() ? try state.count(atMost: shard.channelCount - 1) : nil
        session =
            try state.flag()
            ? try Session(from: &state, now: now, channelCount: shard.channelCount) { clock.tick(at: $0) } : nil
        if try state.flag() { input = Boxed(try PartialInput(from: &state, now: now)) }
        do throws(StateError) {
            if try state.flag() { backlog = try Backlog(from: &state, now: now, &shard.output) }
        } catch {
            input?.free()
            throw error
        }
    }
}
