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

/// The distribution of connections over threads: connections are assigned in turn, and the probes of a storm have the
/// first thread for themselves, because otherwise their latency would be that of a generator that is busy connecting.
extension Plan {
    /// The number of threads.
    var threadCount: Int { loadThreadCount + (hasProbeThread ? 1 : 0) }

    private var hasProbeThread: Bool { isStorm && publisherCount > 0 }

    /// The number of connections of a thread.
    func connectionCount(ofThread thread: Int) -> Int {
        guard hasProbeThread else { return Self.share(connectionCount, thread, loadThreadCount) }
        return thread == 0 ? publisherCount : Self.share(connectionCount - publisherCount, thread - 1, loadThreadCount)
    }

    /// The number of publishers of a thread; they are its first connections.
    func publisherCount(ofThread thread: Int) -> Int {
        guard hasProbeThread else { return Self.share(publisherCount, thread, loadThreadCount) }
        return thread == 0 ? publisherCount : 0
    }

    /// The number in the run of a thread's connection.
    @inline(__always)
    func number(of local: Int, thread: Int) -> Int {
        guard hasProbeThread else { return local &* loadThreadCount &+ thread }
        return thread == 0 ? local : publisherCount + local * loadThreadCount + thread - 1
    }

    /// The thread and the index of a publisher.
    func place(ofPublisher publisher: Int) -> (thread: Int, local: Int) {
        hasProbeThread ? (0, publisher) : (publisher % loadThreadCount, publisher / loadThreadCount)
    }

    /// The share of `count` things at one index, if `shares` take turns.
    private static func share(_ count: Int, _ index: Int, _ shares: Int) -> Int {
        max(0, (count - index + shares - 1) / shares)
    }
}

/// The phases of a run, which tell the threads what to do; each phase comes once, in this order, and some are left out.
enum Phase: UInt8, Comparable {
    /// Open the connections.
    case opening
    /// Hold the connections, and answer pings.
    case holding
    /// Publish.
    case running
    /// Publish, and open the connections of the storm.
    case storming
    /// Receive the outstanding messages.
    case draining
    /// Read the data that the stalled connections left unread.
    case readingStalled
    /// Close all connections.
    case closing
    /// End the thread.
    case stopping

    /// Whether publishers send.
    var isPublishing: Bool { self == .running || self == .storming }

    static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
}

/// The part of a run between the opening of the connections and their closing.
enum Script: Sendable {
    /// Publish, at first unmeasured, then measured.
    case publish(warmup: TimeSpan, duration: TimeSpan)
    /// Hold the connections; then, with a burst, publish a few messages and see whether memory is released.
    case hold(duration: TimeSpan, burst: Burst?, pause: TimeSpan)
    /// Ping for a while, and continue while the others connect.
    case storm(baseline: TimeSpan)
}

/// The times at which the messages of one publisher are due in the open loop, whatever the server does.
///
/// Latency counted from these times, instead of from the time at which a message could be sent, is free of coordinated
/// omission: a server that stops for a second delays all messages that were due in it, not just the one message that a
/// waiting client has sent.
struct SendSchedule: Equatable {
    /// The time at which the first message of the first publisher is due, in nanoseconds of CLOCK_MONOTONIC.
    var start: UInt64
    /// Messages per second of all publishers together; above 0.
    var rate: Double
    /// The number of publishers that share the rate; they take turns.
    var publisherCount: Int
    /// The index of this publisher, from 0.
    var publisher: Int

    /// The time at which a message is due.
    @inline(__always)
    func time(of sequence: Int) -> UInt64 {
        start &+ UInt64(Double(sequence &* publisherCount &+ publisher) * 1e9 / rate)
    }

    /// The number of messages that are due by a time, inclusive.
    func dueCount(at time: UInt64) -> Int {
        guard time >= start else { return 0 }
        let turns = Double(time - start) * rate / 1e9 - Double(publisher)
        var count = max(0, Int(turns / Double(publisherCount)) + 1)
        // The two directions may round differently; `time(of:)` decides.
        while count > 0 && self.time(of: count - 1) > time { count -= 1 }
        while self.time(of: count) <= time { count += 1 }
        return count
    }

    /// The time that each message had waited by the end if it was due before the end but never sent: latency must be
    /// charged at least this much for it, or an overloaded server would look fast.
    func waits(ofUnsentFrom sentCount: Int, notBefore: UInt64, end: UInt64) -> [UInt64] {
        guard end > 0 else { return [] }
        let due = dueCount(at: end - 1)
        guard sentCount < due else { return [] }
        return (sentCount..<due).map { time(of: $0) }.filter { $0 >= notBefore }.map { end - $0 }
    }
}
