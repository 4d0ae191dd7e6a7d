package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The listener of the HTTP API.
package struct APIServer: Sendable {
    /// The maximum number of concurrent connections that may make any request.
    static let maximumConnections = 1024
    /// The number of further connections where all others have sent a key; they may only make probe requests and get 503
    /// for others. Any beyond these are closed at once.
    static let reservedConnections = 64
    /// The maximum size of the bodies of all requests together, in bytes.
    static let maximumBodiesByteCount = 32 << 20
    /// The maximum size of a head in bytes, and the maximum number of its fields.
    static let maximumHeadByteCount = 32 << 10
    static let maximumFieldCount = 100
    /// The size of the kernel's receive buffer for a client, in bytes; by default it grows to 6 MiB.
    private static let receiveBufferByteCount: ChannelOptions.Types.SocketOption.Value = 128 << 10

    private let router: Router
    private let group: any EventLoopGroup
    private let report: @Sendable (String) -> Void

    /// - Parameter report: logs that connections can't be served, at most every ten seconds.
    package init(
        _ router: Router, group: any EventLoopGroup, report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.router = router
        self.group = group
        self.report = report
    }

    /// Serves on a listening socket, which the server owns from now on, until the task is cancelled.
    ///
    /// - Parameter secured: makes what stands before everything else in the pipeline of a connection: its TLS.
    package func run(
        adopting descriptor: CInt, secured: (@Sendable () -> any ChannelHandler)? = nil
    ) async throws {
        let throttle = Throttle()
        let count = ConnectionCount { [report] in
            throttle { report("the HTTP API is full: \(Self.maximumConnections) connections") }
        }
        let bodies = BodyBudget()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelInitializer { [report] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(report: report))
                }
            }
            .childChannelOption(.socketOption(.so_rcvbuf), value: Self.receiveBufferByteCount)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // The socket is read after the last request has been answered and the client has taken the answer.
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { [router] channel in
                channel.eventLoop.makeCompletedFuture {
                    let intake = Intake()
                    let handler = RequestHandler(router, intake, count, bodies)
                    intake.handler = handler
                    var limits = NIOHTTPDecoderLimitConfiguration()
                    limits.maxHeaderFieldSize = Self.maximumHeadByteCount
                    limits.maxHeaderListSize = Self.maximumHeadByteCount
                    limits.maxHeaderFieldCount = Self.maximumFieldCount
                    let decoder = HTTPRequestDecoder(limitConfiguration: limits)
                    if let secured { try channel.pipeline.syncOperations.addHandler(secured()) }
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
