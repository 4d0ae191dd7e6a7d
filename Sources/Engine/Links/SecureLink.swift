import Base
import TLSHandshake
import TLSRecords

/// The TLS of one connection: first its handshake, then its records. It stands between the socket and everything else,
/// which has to do with plaintext only.
///
/// Invariant: sealed bytes are sent in the order in which they were sealed. Those that the socket has not taken are `rest`,
/// and nothing is sealed while there are any; the connection has a backlog as long, perhaps an empty one.
struct SecureLink: ~Copyable {
    /// How far it has come.
    enum Stage {
        /// The client's first message is not there.
        case hello
        case handshake(ServerHandshake)
        /// The handshake is done.
        case established
        /// The same, by a client that has shown a certificate.
        case identified(ClientCertificate)

        /// The end of a handshake. An optional as the payload of one case would take a byte more.
        init(_ certificate: ClientCertificate?) {
            self = certificate.map { .identified($0) } ?? .established
        }
    }

    var stage = Stage.hello
    /// The records; without keys until the handshake is done.
    var records = RecordLayer()
    /// Input that is no whole record yet, or no whole first message.
    var partial = ByteStore()
    /// Sealed output that the socket has not taken.
    var rest = ByteStore()
    /// Whether this side has said that it sends nothing more.
    var hasSentClose = false
    /// Whether the peer has said that it sends nothing more.
    var peerHasClosed = false

    /// The memory that OpenSSL takes for a handshake, in bytes; about.
    static let handshakeByteCount = 96 * 1024

    /// The handshake in progress.
    var handshake: ServerHandshake? {
        if case .handshake(let handshake) = stage { handshake } else { nil }
    }

    /// Whom the client's certificate names; nil if it has shown none.
    var clientCertificate: ClientCertificate? {
        if case .identified(let certificate) = stage { certificate } else { nil }
    }

    /// Whether the handshake is done, so that everything that its next process needs is in `records`, `partial` and `rest`.
    var isEstablished: Bool {
        switch stage {
        case .hello, .handshake: false
        case .established, .identified: true
        }
    }

    /// The memory that it holds for input and output, in bytes.
    var heldByteCount: Int {
        partial.count + rest.count + (handshake == nil ? 0 : SecureLink.handshakeByteCount)
    }

    /// Overwrites the keys. Nothing can be sent or received after that.
    mutating func wipe() { records.wipe() }
}

/// What the TLS connections of a worker share. Only its thread uses it.
final class SecureWork {
    let ciphers = RecordCiphers()
    /// The buffer for sealed bytes on their way to a socket; empty until there is a TLS connection.
    private(set) var arena = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// The number of handshakes that this turn may still begin.
    var handshakesLeft = 0
    /// The connections whose handshake is in progress, by their tags.
    var handshakes = HandshakesInProgress<UInt64, IPAddress>()

    /// Sealed bytes that the ring borrows: those of each connection in it, behind each other in a buffer of their own.
    private(set) var queued: ContiguousArray<Queued> = []
    private var queuedArena = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var queuedByteCount = 0

    struct Queued {
        var slot: Int
        /// The first piece of what is sealed.
        var first: UInt32
        var contentByteCount: Int
        var sealed: UnsafeRawBufferPointer

        /// The bit of a send's `userData` that says that the rest is a place in `queued`; slots are smaller.
        static let mark: UInt64 = 1 << 63
    }

    /// The content that is sealed at once for the ring at most: one record, unless the client takes only smaller ones.
    static let queuedContentByteCount = RecordHeader.maximumContentByteCount
    /// The sealed bytes for one call: with less, records of 8 KB are too few in a call; a core's second cache holds them.
    private static let queuedArenaByteCount = 160 * 1024

    /// The content that is sealed for one call at most.
    static let batchByteCount = 64 * 1024
    /// The room for that, sealed in the smallest records, behind new keys.
    private static let arenaByteCount =
        batchByteCount + RecordHeader.maximumOverhead(of: batchByteCount) + RecordLayer.keyUpdateByteCount
    /// The number of handshakes in progress at most, and the share of the limit on memory that those of all workers may have,
    /// but each worker has a few.
    private static let maximumHandshakeCount = 512
    private static let handshakeShare = 8
    private static let leastHandshakeCount = 16

    /// The number of handshakes in progress of a worker at most; another ends for one more.
    ///
    /// - Parameter memory: the limit on memory in bytes; 0: none.
    static func handshakeLimit(memory: Int, workerCount: Int) -> Int {
        guard memory > 0 else { return maximumHandshakeCount }
        let share = memory / handshakeShare / SecureLink.handshakeByteCount / max(1, workerCount)
        return min(maximumHandshakeCount, max(leastHandshakeCount, share))
    }

    /// The handshakes that a turn begins: a millisecond or two, which is how long those wait who are connected. The kernel
    /// reports the others again.
    static let handshakesPerTurn = 4
    /// The work of a step of a handshake: some 200 microseconds. A turn has room for about eight.
    static let handshakeWork = 256 * 1024
    /// The work of one record of a handshake besides that of its message.
    static let handshakeRecordWork = 4 * 1024

    /// The bytes that are read from a connection at once: of the smallest records some thousand.
    static let readByteCount = 64 * 1024
    /// The work of a record besides its bytes, some 300 nanoseconds, and that of one without data, which may be for new keys:
    /// some ten microseconds.
    static let recordWork = 256
    static let emptyRecordWork = 8 * 1024

    deinit {
        arena.deallocate()
        queuedArena.deallocate()
    }

    /// Makes the buffer, before it is used for the first time.
    func prepare() {
        if arena.isEmpty { arena = .allocate(byteCount: SecureWork.arenaByteCount, alignment: 64) }
    }

    /// The room for one more record for the ring; nil if there is not enough.
    var roomToQueue: UnsafeMutableRawBufferPointer? {
        let content = SecureWork.queuedContentByteCount
        let needed = content + RecordHeader.maximumOverhead(of: content) + RecordLayer.keyUpdateByteCount
        if queuedArena.isEmpty { queuedArena = .allocate(byteCount: SecureWork.queuedArenaByteCount, alignment: 64) }
        guard queuedArena.count - queuedByteCount >= needed else { return nil }
        return UnsafeMutableRawBufferPointer(rebasing: queuedArena[queuedByteCount...])
    }

    /// Notes what was sealed in that room. Returns what to tell the ring.
    func note(_ queued: Queued) -> UInt64 {
        queuedByteCount += queued.sealed.count
        self.queued.append(queued)
        return Queued.mark | UInt64(self.queued.count - 1)
    }

    /// The ring borrows nothing any more.
    func forgetQueued() {
        queued.removeAll(keepingCapacity: true)
        queuedByteCount = 0
    }
}
