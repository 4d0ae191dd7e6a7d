package import NIOCore
import NIOPosix
package import Varlink

/// Serves a ``VarlinkService`` on a Unix socket.
///
/// Calls of one connection are executed one after the other, in order; connections don't wait for each other. A peer
/// that doesn't read delays only itself, and costs the memory of at most one reply.
package struct VarlinkServer: Sendable {
    /// The limits for peers. The defaults are those of sd-varlink.
    package struct Limits: Sendable {
        /// The maximum number of connections; a further one is closed at once.
        package var connections = 4096
        /// The maximum number of connections of one user.
        package var connectionsPerUser = 1024
        /// The maximum size of a call in bytes; a connection that sends a longer one is closed.
        package var callByteCount = FrameSplitter.defaultLimit
        /// The maximum number of bytes of incomplete calls of all connections together; the connection that exceeds it
        /// is closed.
        package var unfinishedByteCount = 64 << 20
        /// The maximum time from the first byte of a call to its last.
        package var callTimeout = TimeAmount.seconds(60)

        /// The default limits.
        package init() {}
    }

    /// An event on a server that no reply reports, for the log.
    package enum Event: Sendable {
        /// A connection was closed at once, because there were too many of its user or in all.
        case refused(PeerCredentials)
        /// A connection was closed, because its input isn't Varlink.
        case malformed(PeerCredentials, reason: String)
        /// A method failed with an error unknown to its interface; its connection was closed.
        case failed(PeerCredentials, method: String, reason: String)
    }

    private let service: VarlinkService
    private let group: any EventLoopGroup
    private let limits: Limits
    private let log: @Sendable (Event) -> Void

    /// A server, which does nothing before ``run(on:onReady:)``.
    ///
    /// - Parameters:
    ///   - service: the service.
    ///   - group: the event loops for the I/O; one thread is plenty.
    ///   - limits: the limits for peers.
    ///   - log: called for events that no reply reports, from any thread.
    package init(
        service: VarlinkService, group: any EventLoopGroup, limits: Limits = Limits(),
        log: @escaping @Sendable (Event) -> Void = { _ in }
    ) {
        self.service = service
        self.group = group
        self.limits = limits
        self.log = log
    }

    /// Serves until the task is cancelled; then answers the calls that are being executed, and closes the connections
    /// and the listener. Only one run per listener.
    ///
    /// - Parameters:
    ///   - listener: the socket to accept on.
    ///   - onReady: called when connections are accepted.
    package func run(
        on listener: VarlinkListener, onReady: @escaping @Sendable () -> Void = {}
    ) async throws {
        defer { listener.removeFile() }
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(listener.descriptor) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try AcceptedConnection(channel)
                }
            }
        onReady()
        let limiter = ConnectionLimiter(limits: limits)
        try await server.executeThenClose { accepted in
            try await withThrowingDiscardingTaskGroup { tasks in
                for try await connection in accepted {
                    tasks.addTask { await serve(connection, limiter) }
                }
                // A listener ends only when its task ends.
                tasks.cancelAll()
            }
        }
    }

    private func serve(_ accepted: AcceptedConnection, _ limiter: ConnectionLimiter) async {
        guard let peer = accepted.peer else { return await accepted.close() }
        guard limiter.enter(peer.userID) else {
            log(.refused(peer))
            return await accepted.close()
        }
        defer { limiter.leave(peer.userID) }
        await VarlinkConnection(accepted, peer: peer, service: service, limits: limits, log: log, limiter: limiter)
            .run()
    }
}
