/// The plan of a run: everything that the threads have to know, and nothing that changes.
struct Plan: Sendable {
    /// A server to connect to; several are used in turn.
    struct Target: Sendable {
        var address: SocketAddress
        var request: HandshakeRequest
    }

    /// The publishers whose messages a connection has to receive.
    enum Audience: Sendable {
        /// All publishers.
        case everyone
        /// The connection itself; messages of others are ignored.
        case own
    }

    /// The kind of messages that a publisher sends.
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

    /// The number that identifies the messages of this run.
    var run = UInt32.random(in: 0...UInt32.max)
    var targets: [Target]
    /// Local addresses to connect from, in turn; if empty, the kernel chooses.
    var sources: [SocketAddress] = []
    /// The number of threads that share the load.
    var loadThreadCount = 1
    /// The number of all connections, publishers first and stalled ones last.
    var connectionCount: Int
    var publisherCount = 0
    var stalledCount = 0
    /// Whether only the publishers connect at first, and the others when the storm begins.
    var isStorm = false
    /// The number of times that each connection of the storm is closed and opened again.
    var reconnectCount = 0
    var audience = Audience.everyone
    var traffic = Traffic.text
    /// The size of a message's payload in bytes, at least `Stamp.byteCount`.
    var messageByteCount = 128
    /// Messages in flight per publisher in the closed loop.
    var window = 16
    /// Messages per second of all publishers in the open loop; nil for the closed loop.
    var rate: Double?
    /// The number of messages after which a publisher stops; nil for never.
    var messageLimit: Int?
    /// SO_RCVLOWAT of the connections that aren't publishers; nil leaves it unchanged.
    var receiveBatch: Int?
    /// The number of concurrent handshakes of all threads.
    var handshakesInFlight = 256
    /// Connections per second; 0 means as many as possible.
    var connectRate = 0.0
    /// The maximum time for a handshake, a close, or the outstanding messages at the end, in nanoseconds.
    var timeout: UInt64 = 10_000_000_000

    /// The size of one of our frames in bytes: header, masking key, payload.
    var frameByteCount: Int {
        messageByteCount + (messageByteCount < 126 ? 6 : messageByteCount <= 0xFFFF ? 8 : 14)
    }

    /// The number of messages that may stay unread in a receive buffer because of `receiveBatch`.
    var batchedMessageCount: Int {
        receiveBatch.map { ($0 + messageByteCount - 1) / messageByteCount } ?? 0
    }
}
