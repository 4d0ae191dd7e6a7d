import Base
import BrokerSupport
import NIOCore
import NIOPosix

/// One connection to a Redis server, from connecting to its end. All of it belongs to its event loop.
///
/// Commands are answered in their order. What is sent in a turn of the loop leaves in one write.
final class RedisConnection {
    /// What became of a command.
    enum Reply {
        case value(RESPValue)
        case error(RedisError)
        /// The connection ended before the answer.
        case lost
    }

    /// What the server says of itself.
    struct Server: Equatable {
        var version = ""
        var mode = ""
        var role = ""
    }

    /// What is called on the event loop.
    struct Events {
        /// The server has accepted this client.
        var ready: (Server) -> Void
        /// The server has sent something without having been asked.
        var pushed: ([RESPValue]) -> Void
        /// All that has been received has been handled.
        var handled: () -> Void
        /// The connection has ended, or could not be made; the text names the server. Called once.
        var closed: (String) -> Void
    }

    /// What an answer is expected for.
    private enum Expected {
        case reply((Reply) -> Void)
        /// A (un)subscription of this many channels, each of which is confirmed by a push, unless there is an error.
        case confirmations(Int, (String) -> Void, (RedisError) -> Void)
        /// The end of subscriptions in a cluster, and the answer to the PING after it. In between there may be an error.
        /// What confirms it looks like what a server sends unasked for a slot that it has no more.
        case end
    }

    private let loop: any EventLoop
    let endpoint: RedisEndpoint
    private let options: RedisBroker.Options
    private var events: Events?
    private var channel: (any Channel)?
    private var expected = CircularBuffer<Expected>()
    /// What has been written in this turn and is not with the channel yet.
    private var output = ByteBuffer()
    private var isFlushScheduled = false
    private var timeout: Scheduled<Void>?
    private(set) var server = Server()
    /// The hashes of the scripts that the server has.
    var hashes: [RedisScript: String] = [:]
    /// Whether the server is of another kind than it has to be.
    private(set) var isUnfit = false
    /// The number of bytes received so far, by which one sees whether the connection is alive.
    private(set) var receivedByteCount = 0

    init(
        _ loop: any EventLoop, _ endpoint: RedisEndpoint, _ options: RedisBroker.Options, _ events: Events
    ) {
        self.loop = loop
        self.endpoint = endpoint
        self.options = options
        self.events = events
    }

    /// Connects and logs in.
    func connect() {
        let limit = TimeAmount(options.connectTimeout)
        timeout = loop.assumeIsolated().scheduleTask(in: limit) { [weak self] in
            guard let self else { return }
            let way = options.tls == nil ? "" : " with TLS"
            close(because: "did not accept the connection\(way) within \(options.connectTimeout.secondsText) s")
        }
        do {
            let tls = try options.tls.map { try TLSClient($0, host: endpoint.address.host) }
            let bound = NIOLoopBound(self, eventLoop: loop)
            let bootstrap = ClientBootstrap(group: loop)
                .connectTimeout(limit)
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(
                    .recvAllocator,
                    value: AdaptiveRecvByteBufferAllocator(
                        minimum: 4_096, initial: 16_384, maximum: 262_144)
                )
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let tls { try channel.pipeline.syncOperations.addHandler(tls.handler()) }
                        try channel.pipeline.syncOperations.addHandler(
                            RedisHandler(bound.value, bound.value.options.decoderLimits))
                    }
                }
            let connected =
                switch endpoint.address {
                case .tcp(let host, let port):
                    bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
                case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
                }
            connected.assumeIsolated().whenFailure { error in
                bound.value.close(because: ConnectionReason.text(error, isConnected: false))
            }
        } catch {
            close(because: ConnectionReason.text(error, isConnected: false))
        }
    }

    /// Sends a command.
    func send(_ arguments: [RESPArgument], _ reply: @escaping (Reply) -> Void) {
        send(reply) { $0.writeCommand(arguments) }
    }

    /// Sends the command that `encode` writes.
    func send(_ reply: @escaping (Reply) -> Void, _ encode: (inout ByteBuffer) -> Void) {
        guard events != nil else { return reply(.lost) }
        expected.append(.reply(reply))
        encode(&output)
        scheduleFlush()
    }

    /// Sends `SUBSCRIBE` or `UNSUBSCRIBE` for channels, and passes each that is confirmed.
    func send(_ command: String, _ channels: [String], confirmed: @escaping (String) -> Void) {
        send(command, channels, confirmed: confirmed) { [self] error in
            close(because: "does not let this client subscribe: \(error.text)")
        }
    }

    /// Sends `SSUBSCRIBE` or the like for channels, which is confirmed for each, or refused for all.
    func send(
        _ command: String, _ channels: [String], confirmed: @escaping (String) -> Void,
        refused: @escaping (RedisError) -> Void
    ) {
        guard events != nil, !channels.isEmpty else { return }
        expected.append(.confirmations(channels.count, confirmed, refused))
        write(command, channels)
    }

    /// Ends subscriptions of one slot in a cluster.
    func endSharded(_ channels: [String]) {
        guard events != nil, !channels.isEmpty else { return }
        expected.append(.end)
        write("SUNSUBSCRIBE", channels)
        output.writeCommand(["PING"])
    }

    private func write(_ command: String, _ channels: [String]) {
        output.writeCommandHead(channels.count + 1)
        output.writeArgument(command)
        for channel in channels { output.writeArgument(channel) }
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
        let lost = expected
        expected.removeAll()
        // First, so that whoever loses an answer does not ask again here.
        events.closed("\(endpoint) \(reason)")
        for case .reply(let reply) in lost { reply(.lost) }
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.assumeIsolated().execute { [self] in flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard let channel, output.readableBytes > 0 else { return }
        let bytes = output
        output = channel.allocator.buffer(capacity: 1_024)
        channel.writeAndFlush(bytes, promise: nil)
    }
}

// What the handler in the channel calls.
extension RedisConnection {
    func opened(_ channel: any Channel) {
        guard events != nil else { return channel.close(promise: nil) }
        self.channel = channel
        var hello: [RESPArgument] = ["HELLO", "3"]
        let (user, password) = endpoint.login(options)
        if let password { hello += ["AUTH", .text(user ?? "default"), .text(password)] }
        hello += ["SETNAME", .text(options.clientName)]
        send(hello) { [self] reply in greeted(reply) }
        if hasDatabase { send(["SELECT", .number(Int64(options.database))]) { [self] reply in selected(reply) } }
        flush()
    }

    /// Whether a database is to be selected.
    private var hasDatabase: Bool { endpoint.kind == .server && options.database != 0 }

    private func greeted(_ reply: Reply) {
        switch reply {
        case .lost: break
        case .error(let error): close(because: Self.refusal(error))
        case .value(let hello):
            server = Server(
                version: hello["version"]?.text ?? "", mode: hello["mode"]?.text ?? "",
                role: hello["role"]?.text ?? "")
            if let reason = Self.unfitness(of: server, as: endpoint.kind) {
                isUnfit = true
                return close(because: reason)
            }
            if !hasDatabase { becomeReady() }
        }
    }

    private func selected(_ reply: Reply) {
        switch reply {
        case .lost: break
        case .error(let error): close(because: "has no database \(options.database) for this client: \(error.text)")
        case .value: becomeReady()
        }
    }

    private func becomeReady() {
        timeout?.cancel()
        events?.ready(server)
    }

    func received(_ byteCount: Int) { receivedByteCount += byteCount }

    func received(_ value: RESPValue) {
        if case .push(let elements) = value { return pushed(elements) }
        if case .end = expected.first, case .error = value { return }
        guard let next = expected.popFirst() else { return close(because: "sent an answer that nobody asked for") }
        switch (next, value) {
        case (.end, _): break
        case (.reply(let reply), .error(let error)): reply(.error(error))
        case (.reply(let reply), let value): reply(.value(value))
        case (.confirmations(_, _, let refused), .error(let error)): refused(error)
        case (.confirmations, _): close(because: "sent an answer that nobody asked for")
        }
    }

    private func pushed(_ elements: [RESPValue]) {
        switch elements.first?.text {
        case "subscribe", "unsubscribe", "ssubscribe":
            guard case .confirmations(let count, let confirmed, let refused) = expected.first,
                elements.count > 1, let name = elements[1].text
            else { return close(because: "confirmed a subscription that nobody asked for") }
            if count > 1 {
                expected[expected.startIndex] = .confirmations(count - 1, confirmed, refused)
            } else {
                expected.removeFirst()
            }
            confirmed(name)
        default: events?.pushed(elements)
        }
    }

    func handled() { events?.handled() }

    func failed(_ error: any Error) { close(because: ConnectionReason.text(error, isConnected: channel != nil)) }

    func ended() { close(because: "closed the connection") }
}
