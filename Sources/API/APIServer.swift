package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The listener of the HTTP API.
package struct APIServer: Sendable {
    /// Connections at the same time that may ask for everything.
    static let maximumConnections = 1024
    /// Those beyond that may ask how the daemon is; they are told to come again otherwise. More are closed at once.
    static let reservedConnections = 64
    /// The most that the fields of a head may have, in bytes, and how many there may be.
    static let maximumHeadByteCount = 32 << 10
    static let maximumFieldCount = 100
    /// What the kernel may keep of what a client sends, in bytes: by itself it goes to 6 MiB.
    private static let receiveBufferByteCount: ChannelOptions.Types.SocketOption.Value = 128 << 10

    private let router: Router
    private let group: any EventLoopGroup
    private let report: @Sendable (String) -> Void

    /// - Parameter report: says in the log that connections can't be served, at most every ten seconds.
    package init(
        _ router: Router, group: any EventLoopGroup, report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.router = router
        self.group = group
        self.report = report
    }

    /// Serves on a listening socket, which belongs to the server from now on, until the task is cancelled.
    package func run(adopting descriptor: CInt) async throws {
        let count = ConnectionCount()
        let throttle = Throttle()
        let noteFull: @Sendable () -> Void = { [report] in
            throttle { report("the HTTP API is full: \(Self.maximumConnections) connections") }
        }
        let channel = try await ServerBootstrap(group: group)
            .serverChannelInitializer { [report] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(report: report))
                }
            }
            .childChannelOption(.socketOption(.so_rcvbuf), value: Self.receiveBufferByteCount)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // Read when the last request has been answered, and the answer taken.
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { [router] channel in
                channel.eventLoop.makeCompletedFuture {
                    let intake = Intake()
                    let handler = RequestHandler(router, intake, count, noteFull: noteFull)
                    intake.handler = handler
                    var limits = NIOHTTPDecoderLimitConfiguration()
                    limits.maxHeaderFieldSize = Self.maximumHeadByteCount
                    limits.maxHeaderListSize = Self.maximumHeadByteCount
                    limits.maxHeaderFieldCount = Self.maximumFieldCount
                    let decoder = HTTPRequestDecoder(limitConfiguration: limits)
                    try channel.pipeline.syncOperations.addHandlers([
                        intake, HTTPResponseEncoder(), ByteToMessageHandler(decoder), handler,
                    ])
                }
            }
            .withBoundSocket(descriptor)
            .get()
        try await withTaskCancellationHandler {
            try await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}
