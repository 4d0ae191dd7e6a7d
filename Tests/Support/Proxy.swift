import NIOCore
import NIOPosix

/// A way from a node to its server that can be cut, for that node alone.
final class Proxy: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let serverPort: Int
    private let listener: any Channel
    private let state: NIOLoopBoundBox<State>

    fileprivate struct State {
        var channels: [any Channel] = []
        var isCut = false
        /// Whether what comes from the node, or from the server, is swallowed.
        var isSilent = false
        /// What the server sends next with this in it is passed on so much later, behind what comes after it.
        var delayed: (text: String, time: TimeAmount)?
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    init(to serverPort: Int) async throws {
        self.serverPort = serverPort
        let loop = group.next()
        let state = NIOLoopBoundBox.makeBoxSendingValue(State(), eventLoop: loop)
        self.state = state
        listener = try await ServerBootstrap(group: loop)
            .childChannelInitializer { node in
                guard !state.value.isCut else { return node.close() }
                return ClientBootstrap(group: loop)
                    .connect(host: "127.0.0.1", port: serverPort)
                    .flatMapThrowing { server in
                        state.value.channels += [node, server]
                        try node.pipeline.syncOperations.addHandler(Pipe(to: server, state) { _ in nil })
                        try server.pipeline.syncOperations.addHandler(Pipe(to: node, state, state.delay(of:)))
                    }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    /// Ends all connections, and lets none in.
    func cut() async throws { try await change { $0.isCut = true } }

    /// Passes nothing on any more, though the connections stay.
    func silence() async throws { try await change { $0.isSilent = true } }

    /// Passes on what the server sends next with this text in it only after some time, behind what comes after it.
    func delay(_ text: String, by time: TimeAmount) async throws {
        try await group.next().submit { [state] in state.value.delayed = (text, time) }.get()
    }

    /// Lets connections in again; those that were silent are ended.
    func mend() async throws { try await change { $0 = State(channels: $0.channels) } }

    func end() async throws {
        try await cut()
        try await listener.close()
        try await group.shutdownGracefully()
    }

    private func change(_ body: @escaping @Sendable (inout State) -> Void) async throws {
        try await group.next().submit { [state] in
            let before = state.value.isSilent
            body(&state.value)
            guard !state.value.isSilent || before else { return }
            for channel in state.value.channels { channel.close(promise: nil) }
            state.value.channels = []
        }.get()
    }

    private final class Pipe: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let other: any Channel
        private let state: NIOLoopBoundBox<State>
        private let delay: (ByteBuffer) -> TimeAmount?

        init(
            to other: any Channel, _ state: NIOLoopBoundBox<State>, _ delay: @escaping (ByteBuffer) -> TimeAmount?
        ) {
            self.other = other
            self.state = state
            self.delay = delay
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !state.value.isSilent else { return }
            let bytes = unwrapInboundIn(data)
            guard let time = delay(bytes) else { return other.writeAndFlush(bytes, promise: nil) }
            context.eventLoop.scheduleTask(in: time) { [other] in other.writeAndFlush(bytes, promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
    }
}

extension NIOLoopBoundBox<Proxy.State> {
    fileprivate func delay(of bytes: ByteBuffer) -> TimeAmount? {
        guard let (text, time) = value.delayed, String(buffer: bytes).contains(text) else { return nil }
        value.delayed = nil
        return time
    }
}
