import Base
import NIOCore
import NIOPosix
import NIOSSL

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
        /// A (un)subscription of this many channels, each of which is confirmed by a push.
        case confirmations(Int, (String) -> Void)
    }

    private let loop: any EventLoop
    private let options: RedisBroker.Options
    private var events: Events?
    private var channel: (any Channel)?
    private var expected = CircularBuffer<Expected>()
    /// What has been written in this turn and is not with the channel yet.
    private var output = ByteBuffer()
    private var isFlushScheduled = false
    private var timeout: Scheduled<Void>?
    private(set) var server = Server()
    /// The number of bytes received so far, by which one sees whether the connection is alive.
    private(set) var receivedByteCount = 0

    init(_ loop: any EventLoop, _ options: RedisBroker.Options, _ events: Events) {
        self.loop = loop
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
            let tls = try options.tls.map { try RedisTLS($0, options.address) }
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
                        try channel.pipeline.syncOperations.addHandler(RedisHandler(bound.value))
                    }
                }
            let connected =
                switch options.address {
                case .tcp(let host, let port):
                    bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
                case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
                }
            connected.assumeIsolated().whenFailure { error in
                bound.value.close(because: Self.text(error, isConnected: false))
            }
        } catch {
            close(because: Self.text(error, isConnected: false))
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
        guard events != nil, !channels.isEmpty else { return }
        expected.append(.confirmations(channels.count, confirmed))
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
        events.closed("\(options.address) \(reason)")
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
        if let password = options.password {
            hello += ["AUTH", .text(options.user ?? "default"), .text(password)]
        }
        hello += ["SETNAME", .text(options.clientName)]
        send(hello) { [self] reply in greeted(reply) }
        if options.database != 0 {
            send(["SELECT", .number(Int64(options.database))]) { [self] reply in selected(reply) }
        }
        flush()
    }

    private func greeted(_ reply: Reply) {
        switch reply {
        case .lost: break
        case .error(let error): close(because: Self.refusal(error))
        case .value(let hello):
            server = Server(
                version: hello["version"]?.text ?? "", mode: hello["mode"]?.text ?? "",
                role: hello["role"]?.text ?? "")
            if let reason = Self.unfitness(of: server) { return close(because: reason) }
            if options.database == 0 { becomeReady() }
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
        guard let next = expected.popFirst() else { return close(because: "sent an answer that nobody asked for") }
        switch (next, value) {
        case (.reply(let reply), .error(let error)): reply(.error(error))
        case (.reply(let reply), let value): reply(.value(value))
        case (.confirmations, .error(let error)): close(because: "does not let this client subscribe: \(error.text)")
        case (.confirmations, _): close(because: "sent an answer that nobody asked for")
        }
    }

    private func pushed(_ elements: [RESPValue]) {
        switch elements.first?.text {
        case "subscribe", "unsubscribe":
            guard case .confirmations(let count, let confirmed) = expected.first,
                elements.count > 1, let name = elements[1].text
            else { return close(because: "confirmed a subscription that nobody asked for") }
            if count > 1 {
                expected[expected.startIndex] = .confirmations(count - 1, confirmed)
            } else {
                expected.removeFirst()
            }
            confirmed(name)
        default: events?.pushed(elements)
        }
    }

    func handled() { events?.handled() }

    func failed(_ error: any Error) { close(because: Self.text(error, isConnected: channel != nil)) }

    func ended() { close(because: "closed the connection") }
}
