package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The listener of the HTTP API.
package struct APIServer: Sendable {
    /// Connections at the same time; more are closed at once.
    static let maximumConnections = 1024
    /// How long a connection may wait for its next request, and for the rest of one.
    static let idleTimeout: TimeAmount = .seconds(60)

    private let router: Router
    private let group: any EventLoopGroup

    package init(_ router: Router, group: any EventLoopGroup) {
        self.router = router
        self.group = group
    }

    /// Serves on a listening socket, which belongs to the server from now on, until the task is cancelled.
    package func run(adopting descriptor: CInt) async throws {
        let count = ConnectionCount()
        let channel = try await ServerBootstrap(group: group)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { [router] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: true, withErrorHandling: true)
                    try pipeline.addHandler(IdleStateHandler(allTimeout: Self.idleTimeout))
                    try pipeline.addHandler(RequestHandler(router, count))
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
