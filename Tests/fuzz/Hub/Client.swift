import CLinux
import Channels
import Glibc
import WebSocket

/// One client of the hub under test: it sends what it is told to, whole or in pieces, and looks at everything that comes.
/// Its socket never blocks. What comes is in `Client+Reading`.
final class Client {
    enum Phase {
        /// The request is sent, the answer has not come.
        case handshake
        case open
        /// The hub has said a last word: a close frame, or an answer that refuses.
        case told
        /// The hub has ended the connection.
        case over
    }

    let number: Int
    let descriptor: Int32
    let endpoint: Alphabet.Endpoint
    /// Whether permessage-deflate was offered.
    let offersCompression: Bool
    let answersPings: Bool
    /// Whose token it came with, as a place in `Alphabet.users`.
    let user: Int

    var phase = Phase.handshake
    var agreesToCompression = false
    /// Whether it takes what comes.
    var isReading = true
    /// Whether what is queued waits for more, to go in one packet with it.
    var holdsOutput = false
    /// Whether it has said something that the harness does not understand, or has begun to close: requests behind that
    /// need not be answered.
    var isUnaccountable = false
    /// Requests that have no answer yet, in their order: the id as it was written, and the channel.
    var unanswered: [(id: [UInt8], channel: String?)] = []
    /// Whether the hub may have dropped answers that it had no room for.
    var losesMessages = false
    private var requestCount = 0
    /// The bytes in one send; 0: as many as there are.
    var pieceByteCount = 0

    /// What has come and is not looked at, from `inputStart` on.
    var input: [UInt8] = []
    var inputStart = 0
    var reader = MessageReader()
    private var output: [UInt8] = []
    private var outputStart = 0
    private var hasShutDown = false
    private var isClosed = false

    init(
        number: Int, descriptor: Int32, endpoint: Alphabet.Endpoint, user: Int, offersCompression: Bool,
        answersPings: Bool
    ) {
        self.number = number
        self.descriptor = descriptor
        self.endpoint = endpoint
        self.user = user
        self.offersCompression = offersCompression
        self.answersPings = answersPings
    }

    deinit { if !isClosed { close(descriptor) } }

    /// Whether every request of its that has an id must be answered.
    var mustBeAnswered: Bool { phase == .open && endpoint.isJSON && !isUnaccountable && !hasShutDown }

    var hasOutput: Bool { outputStart < output.count }

    // MARK: Sending

    /// Has bytes sent with the next `flush`.
    func queue(_ bytes: [UInt8]) { output += bytes }

    /// Has a frame sent with the next `flush`.
    func queue(
        _ opcode: UInt8, _ payload: some Collection<UInt8>, isFinal: Bool = true, isCompressed: Bool = false
    ) {
        output.append((isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode)
        let count = payload.count
        if count < 126 {
            output.append(0x80 | UInt8(count))
        } else if count <= 0xFFFF {
            output += [0x80 | 126, UInt8(count >> 8), UInt8(count & 0xFF)]
        } else {
            output.append(0x80 | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                output.append(UInt8(truncatingIfNeeded: count >> shift))
            }
        }
        let key = UInt32(truncatingIfNeeded: count) | 0x1122_3300
        withUnsafeBytes(of: key.littleEndian) { output += $0 }
        let start = output.count
        output += payload
        output.withUnsafeMutableBytes { bytes in
            _ = Masking.remove(key, from: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
        }
    }

    /// Sends what is queued, as far as the socket takes it.
    func flush() {
        guard !isClosed, !hasShutDown else { return }
        var pieces = 0
        while outputStart < output.count {
            let rest = output.count - outputStart
            // Enough pieces to be cut at every odd place of a few frames.
            let wanted = pieceByteCount > 0 && pieces < 64 ? min(pieceByteCount, rest) : rest
            let count = output.withUnsafeBytes {
                clinux_send(descriptor, $0.baseAddress! + outputStart, wanted)
            }
            guard count > 0 else {
                // Whoever has been closed can't say anything more.
                if errno != EAGAIN { dropOutput() }
                return
            }
            outputStart += count
            pieces += 1
            if pieceByteCount > 0 { sched_yield() }
        }
        dropOutput()
    }

    private func dropOutput() {
        output.removeAll(keepingCapacity: true)
        outputStart = 0
    }

    func pong(_ payload: some Collection<UInt8>) {
        guard answersPings, !hasShutDown, !isUnaccountable else { return }
        queue(0xA, payload)
    }

    func nextRequestNumber() -> Int {
        requestCount += 1
        return requestCount
    }

    /// Notes a request that is to be answered.
    func expectAnswer(to request: Requests.Request) {
        guard let id = request.id else { return }
        let channel = request.channel.map {
            $0 == "" ? endpoint.channel : MemberReader.string(of: Array($0.utf8)) ?? $0
        }
        unanswered.append((Array(id.utf8), channel))
    }

    // MARK: Ending

    /// Ends the sending side.
    func shutDown() {
        flush()
        isUnaccountable = true
        hasShutDown = true
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Ends the connection; with a reset where the transport has one.
    func cut() {
        guard !isClosed else { return }
        isUnaccountable = true
        // So a port is free again at once, too.
        var lingers = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &lingers, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
        isClosed = true
        phase = .over
    }
}
