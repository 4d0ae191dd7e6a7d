import Base
import Broker
import BrokerSupport
import NIOCore
import NIOPosix

/// One connection to a NATS server, from connecting to its end. All of it belongs to its event loop.
///
/// What is sent in a turn of the loop leaves in one write.
final class NATSConnection {
    /// What became of a request.
    enum Answer {
        case message(NATSMessage)
        /// Nobody listens on the subject.
        case nobody
        /// There was no answer in time.
        case late
        /// The connection ended before the answer.
        case lost
    }

    /// What is called on the event loop.
    struct Events {
        /// The server has accepted this client.
        var ready: () -> Void
        /// The server has said something of itself or of its cluster.
        var informed: (NATSServerInfo) -> Void
        /// The server has complained of something, and goes on.
        var complained: (String) -> Void
        /// All that has been received has been handled.
        var handled: () -> Void
        /// The connection has ended, or could not be made; the text names the server. Called once.
        var closed: (String) -> Void
    }

    private struct Request {
        var answer: (Answer) -> Void
        var deadline: NIODeadline
    }

    /// The subscription of the answers to requests.
    private static let answers: UInt64 = 1
    /// The least that a server has to take at once: a batch of the hub.
    private static let leastPayload = 384 * 1024

    let loop: any EventLoop
    let address: NATSAddress
    private let options: NATSBroker.Options
    private var events: Events?
    private var channel: (any Channel)?
    private var output = ByteBuffer()
    private var isFlushScheduled = false
    private var timeout: Scheduled<Void>?
    private(set) var info = NATSServerInfo()
    private var isGreeted = false
    private(set) var isReady = false
    /// The first part of the subjects that answers go to.
    private let inbox: String
    private var lastRequest: UInt64 = 0
    private var requests: [UInt64: Request] = [:]
    private var isSweepScheduled = false
    private var pongs = CircularBuffer<(Bool) -> Void>()
    private var lastSubscription = NATSConnection.answers
    private var subscribers: [UInt64: (NATSMessage) -> Void] = [:]
    /// The number of bytes received so far, by which one sees whether the connection is alive.
    private(set) var receivedByteCount = 0

    init(_ loop: any EventLoop, _ address: NATSAddress, _ options: NATSBroker.Options, _ events: Events) {
        self.loop = loop
        self.address = address
        self.options = options
        self.events = events
        inbox = "_INBOX.wsd\(options.node).\(String(UInt32.random(in: 0 ... .max), radix: 36))."
    }

    /// The most that the server takes at once, in bytes.
    var maximumPayload: Int { info.maxPayload ?? 1 << 20 }

    /// Whether the server is older than a version.
    func isBefore(_ major: Int, _ minor: Int, _ patch: Int) -> Bool {
        let parts = (info.version ?? "").split(whereSeparator: { $0 == "." || $0 == "-" }).prefix(3).compactMap {
            Int($0)
        }
        return parts.count == 3 && (parts[0], parts[1], parts[2]) < (major, minor, patch)
    }

    /// Connects and logs in.
    func connect() {
        let limit = TimeAmount(options.connectTimeout)
        timeout = loop.assumeIsolated().scheduleTask(in: limit) { [weak self] in
            guard let self else { return }
            let way = options.tls == nil ? "" : " with TLS"
            close(because: "did not accept the connection\(way) within \(options.connectTimeout.secondsText) s")
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(limit)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 4_096, initial: 16_384, maximum: 262_144)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NATSHandler(bound.value))
                }
            }
            .connect(host: address.host, port: address.port)
            .assumeIsolated().whenFailure { error in
                bound.value.close(because: ConnectionReason.text(error, isConnected: false))
            }
    }

    // MARK: What is sent

    /// Publishes a message.
    func publish(_ subject: String, reply: String = "", header: [(String, String)] = [], _ payload: [UInt8]) {
        publish(subject, reply: reply, header: header, size: payload.count) { $0.writeBytes(payload) }
    }

    /// Publishes a message whose payload of `size` bytes `write` writes.
    func publish(
        _ subject: String, reply: String, header: [(String, String)], size: Int, _ write: (inout ByteBuffer) -> Void
    ) {
        guard events != nil else { return }
        let words = reply.isEmpty ? subject : "\(subject) \(reply)"
        if header.isEmpty {
            output.writeString("PUB \(words) \(size)\r\n")
        } else {
            let lines = "NATS/1.0\r\n" + header.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
            output.writeString("HPUB \(words) \(lines.utf8.count) \(lines.utf8.count + size)\r\n\(lines)")
        }
        write(&output)
        output.writeString("\r\n")
        scheduleFlush()
    }

    /// Publishes a message that is to be answered.
    func request(_ subject: String, _ payload: [UInt8] = [], _ answer: @escaping (Answer) -> Void) {
        request(subject, header: [], size: payload.count, { $0.writeBytes(payload) }, answer)
    }

    func request(
        _ subject: String, header: [(String, String)], size: Int, _ write: (inout ByteBuffer) -> Void,
        _ answer: @escaping (Answer) -> Void
    ) {
        guard events != nil else { return answer(.lost) }
        lastRequest += 1
        requests[lastRequest] = Request(answer: answer, deadline: .now() + TimeAmount(options.requestTimeout))
        publish(subject, reply: inbox + String(lastRequest, radix: 36), header: header, size: size, write)
        scheduleSweep()
    }

    /// Passes the messages of a subject to `body`. Returns the number of the subscription.
    func subscribe(_ subject: String, _ body: @escaping (NATSMessage) -> Void) -> UInt64 {
        guard events != nil else { return 0 }
        lastSubscription += 1
        subscribers[lastSubscription] = body
        output.writeString("SUB \(subject) \(lastSubscription)\r\n")
        scheduleFlush()
        return lastSubscription
    }

    /// Ends a subscription. What is on its way is dropped.
    func unsubscribe(_ subscription: UInt64) {
        guard subscribers.removeValue(forKey: subscription) != nil else { return }
        finish(subscription)
    }

    /// Ends a subscription, and passes on what is on its way.
    func finish(_ subscription: UInt64) {
        guard events != nil else { return }
        output.writeString("UNSUB \(subscription)\r\n")
        scheduleFlush()
    }

    /// A subject of this connection's own.
    func ownSubject() -> String {
        lastRequest += 1
        return "\(inbox)d.\(lastRequest)"
    }

    /// Calls `body` when the server has taken all that was sent before; with false if the connection ends.
    func ping(_ body: @escaping (Bool) -> Void) {
        guard events != nil else { return body(false) }
        pongs.append(body)
        output.writeString("PING\r\n")
        scheduleFlush()
    }

    /// Ends the connection for a reason, which follows the name of the server.
    func close(because reason: String) {
        guard let events else { return }
        self.events = nil
        timeout?.cancel()
        let channel = channel
        self.channel = nil
        channel?.close(promise: nil)
        let lost = requests.sorted { $0.key < $1.key }
        requests.removeAll()
        subscribers.removeAll()
        let pongs = pongs
        self.pongs.removeAll()
        // First, so that whoever loses an answer does not ask again here.
        events.closed("\(address) \(reason)")
        for (_, request) in lost { request.answer(.lost) }
        for pong in pongs { pong(false) }
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.assumeIsolated().execute { [self] in flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard let channel, isGreeted, output.readableBytes > 0 else { return }
        let bytes = output
        output = channel.allocator.buffer(capacity: 1_024)
        channel.writeAndFlush(bytes, promise: nil)
    }

    private func scheduleSweep() {
        guard !isSweepScheduled else { return }
        isSweepScheduled = true
        let pause = TimeAmount.nanoseconds(TimeAmount(options.requestTimeout).nanoseconds / 4)
        loop.assumeIsolated().scheduleTask(in: pause) { [weak self] in
            guard let self else { return }
            isSweepScheduled = false
            let now = NIODeadline.now()
            let late = requests.filter { $0.value.deadline <= now }.sorted { $0.key < $1.key }
            for (id, _) in late { requests[id] = nil }
            for (_, request) in late { request.answer(.late) }
            if !requests.isEmpty { scheduleSweep() }
        }
    }
}

// What the handler in the channel calls.
extension NATSConnection {
    func opened(_ channel: any Channel) {
        guard events != nil else { return channel.close(promise: nil) }
        self.channel = channel
    }

    func received(_ byteCount: Int) { receivedByteCount += byteCount }

    func received(_ operation: NATSOperation, isLast: Bool) {
        switch operation {
        case .info(let text): informed(text, isLast: isLast)
        case .message(let message): deliver(message)
        case .ping:
            output.writeString("PONG\r\n")
            scheduleFlush()
        case .pong: pongs.popFirst()?(true)
        case .ok: break
        case .error(let text): complained(text)
        }
    }

    private func deliver(_ message: NATSMessage) {
        guard message.subscription == Self.answers else {
            subscribers[message.subscription]?(message)
            return
        }
        guard message.subject.hasPrefix(inbox),
            let id = UInt64(message.subject.dropFirst(inbox.count), radix: 36),
            let request = requests.removeValue(forKey: id)
        else { return }
        if message.isFromNobody { request.answer(.nobody) } else { request.answer(.message(message)) }
    }

    private func complained(_ text: String) {
        if let reason = Self.refusal(text, options) { return close(because: reason) }
        events?.complained("\(address) answered: \(text)")
    }

    private func informed(_ text: ByteBuffer, isLast: Bool) {
        guard let info = NATSServerInfo(text) else { return close(because: "says of itself what is no JSON") }
        let nonce = self.info.nonce
        self.info = info
        if info.nonce == nil { self.info.nonce = nonce }
        // Before TLS anybody in between can name servers, and have a certificate for them of an authority that all trust.
        if isGreeted || options.tls == nil || options.tls?.authorityFile != nil { events?.informed(info) }
        guard !isGreeted else { return }
        if let reason = unfitness(info) { return close(because: reason) }
        do {
            if let tls = options.tls {
                // Anything that came behind in the clear could be of somebody in between.
                guard isLast else { return close(because: "sent more than its greeting before TLS") }
                let handler = try TLSClient(tls, host: address.host).handler()
                try channel?.pipeline.syncOperations.addHandler(handler, position: .first)
            }
        } catch {
            return close(because: ConnectionReason.text(error, isConnected: true))
        }
        let waiting = output
        output = ByteBuffer()
        output.writeString("CONNECT \(Self.connectText(info, options))\r\nSUB \(inbox)* \(Self.answers)\r\n")
        output.writeImmutableBuffer(waiting)
        isGreeted = true
        ping { [weak self] isTaken in if isTaken { self?.becomeReady() } }
        flush()
    }

    private func unfitness(_ info: NATSServerInfo) -> String? {
        if isBefore(2, 9, 0) {
            return "is NATS \(info.version ?? ""); at least 2.9 is needed"
        }
        if info.headers != true { return "has headers switched off; remove no_header_support from its configuration" }
        if options.tls == nil, info.tlsRequired == true { return "asks for TLS; write tls:// in \(options.table).url" }
        if options.tls != nil, info.tlsRequired != true, info.tlsAvailable != true {
            return "does not use TLS; give it tls {}, or write nats:// in \(options.table).url"
        }
        if maximumPayload < Self.leastPayload {
            return "takes \(maximumPayload) bytes at once; set max_payload to \(Self.leastPayload) or more, such as 8MB"
        }
        return nil
    }

    private func becomeReady() {
        timeout?.cancel()
        isReady = true
        events?.ready()
    }

    func handled() { events?.handled() }

    func failed(_ error: any Error) { close(because: ConnectionReason.text(error, isConnected: channel != nil)) }

    func ended() { close(because: "closed the connection") }
}
