package import NIOCore
import NIOPosix
package import Varlink

/// Serves a ``VarlinkService`` on a Unix socket.
///
/// Calls of one connection are carried out one after the other, in order; connections don't wait for each other. A peer
/// that doesn't read holds up nobody but itself, and at most one reply in memory.
package struct VarlinkServer: Sendable {
    /// What a server takes from its peers. The defaults are those of sd-varlink.
    package struct Limits: Sendable {
        /// The most connections at once; one more is closed at once.
        package var connections = 4096
        /// The most connections of one user at once.
        package var connectionsPerUser = 1024
        /// The most bytes of one call; a connection that sends a longer one is closed.
        package var callByteCount = FrameSplitter.defaultLimit
        /// The most bytes of calls that are not whole yet, of all connections together; the one that brings more is closed.
        package var unfinishedByteCount = 64 << 20
        /// How long a call may take to come.
        package var callTimeout = TimeAmount.seconds(60)

        /// The defaults.
        package init() {}
    }

    /// What happens on a server that no reply tells, for the log.
    package enum Event: Sendable {
        /// A connection was closed at once, because there were too many of its user's or in all.
        case refused(PeerCredentials)
        /// A connection was closed, because what came on it isn't Varlink.
        case malformed(PeerCredentials, reason: String)
        /// A method failed in a way its interface doesn't know; its connection was closed.
        case failed(PeerCredentials, method: String, reason: String)
    }

    private let service: VarlinkService
    private let group: any EventLoopGroup
    private let limits: Limits
    private let log: @Sendable (Event) -> Void

    /// A server, which does nothing until ``run(on:onReady:)``.
    ///
    /// - Parameters:
    ///   - service: What is served.
    ///   - group: Whose event loops do the I/O; one thread is plenty.
    ///   - limits: What it takes from its peers.
    ///   - log: Called for what no reply tells, from any thread.
    package init(
        service: VarlinkService, group: any EventLoopGroup, limits: Limits = Limits(),
        log: @escaping @Sendable (Event) -> Void = { _ in }
    ) {
        self.service = service
        self.group = group
        self.limits = limits
        self.log = log
    }

    /// Serves until the task is cancelled; then answers the calls that are being carried out, and closes what is open
    /// and the listener. One run per listener.
    ///
    /// - Parameters:
    ///   - listener: The socket to accept on.
    ///   - onReady: Called once connections are accepted.
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
                // A listener ends only by its task's end.
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
