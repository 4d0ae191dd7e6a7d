/// What a run does: what the threads have to know, and nothing that changes.
struct Plan: Sendable {
    /// Where connections go, in turns.
    struct Target: Sendable {
        var address: SocketAddress
        var request: HandshakeRequest
    }

    /// Whose messages a connection has to receive.
    enum Audience: Sendable {
        /// Everybody's.
        case everyone
        /// Its own; others' are passed over.
        case own
    }

    /// What a publisher sends.
    enum Traffic: Sendable {
        case text
        case binary
        /// Ping frames, answered by pongs, for servers whose endpoint relays to thousands.
        case ping

        /// The first byte of each frame.
        var firstByte: UInt8 {
            switch self {
            case .text: 0x81
            case .binary: 0x82
            case .ping: 0x89
            }
        }
    }

    /// Marks the messages of this run.
    var run = UInt32.random(in: 0...UInt32.max)
    var targets: [Target]
    /// Local addresses to connect from, in turns; empty leaves the choice to the kernel.
    var sources: [SocketAddress] = []
    /// Threads that share the load.
    var loadThreadCount = 1
    /// All connections, publishers first and those that stall last.
    var connectionCount: Int
    var publisherCount = 0
    var stalledCount = 0
    /// Whether only the publishers connect at first, and the others when the storm begins.
    var isStorm = false
    /// How often a connection of the storm is closed and opened again.
    var reconnectCount = 0
    var audience = Audience.everyone
    var traffic = Traffic.text
    /// Payload bytes of a message, `Stamp.byteCount` or more.
    var messageByteCount = 128
    /// Messages in flight per publisher in the closed loop.
    var window = 16
    /// Messages a second of all publishers in the open loop; nil for the closed one.
    var rate: Double?
    /// After how many messages a publisher stops; nil for never.
    var messageLimit: Int?
    /// SO_RCVLOWAT of who isn't a publisher; nil leaves it alone.
    var receiveBatch: Int?
    /// Handshakes at the same time, of all threads.
    var handshakesInFlight = 256
    /// Connections a second; 0 is as many as can be.
    var connectRate = 0.0
    /// How long a handshake, a close, or what is outstanding at the end may take, in nanoseconds.
    var timeout: UInt64 = 10_000_000_000

    /// Bytes of one of our frames: header, masking key, payload.
    var frameByteCount: Int {
        messageByteCount + (messageByteCount < 126 ? 6 : messageByteCount <= 0xFFFF ? 8 : 14)
    }

    /// How many messages may lie unread in a receive buffer because of `receiveBatch`.
    var batchedMessageCount: Int {
        receiveBatch.map { ($0 + messageByteCount - 1) / messageByteCount } ?? 0
    }
}
