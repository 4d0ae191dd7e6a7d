package import Control
package import Logging
package import NIOCore
import Varlink
package import VarlinkServer

/// The daemon's control sockets: `io.wsd.Control` and `io.wsd.Status` on a ``ControlBackend``.
///
/// Which of the two sockets a caller could open decides what it may do. What changes anything is logged with who did it.
package struct ControlServer: Sendable {
    /// One of the daemon's control sockets.
    package enum Socket: Sendable {
        /// Everything may be done.
        case control
        /// Looking only. Every user of the machine may open it.
        case status
    }

    private let backend: any ControlBackend
    private let group: any EventLoopGroup
    private let logger: Logger

    /// A server, which does nothing until ``run(_:on:onReady:)``.
    ///
    /// - Parameters:
    ///   - backend: The hub.
    ///   - group: Whose event loops do the I/O; one thread is plenty.
    ///   - logger: For the audit log and for peers that don't speak Varlink.
    package init(backend: any ControlBackend, group: any EventLoopGroup, logger: Logger) {
        self.backend = backend
        self.group = group
        self.logger = logger
    }

    /// Serves one of the sockets until the task is cancelled; then removes its file, if it was made here.
    ///
    /// - Parameters:
    ///   - socket: What may be done on it.
    ///   - listener: Where it listens.
    ///   - onReady: Called once connections are accepted.
    package func run(
        _ socket: Socket, on listener: VarlinkListener, onReady: @escaping @Sendable () -> Void = {}
    ) async throws {
        let server = VarlinkServer(
            service: service(for: socket), group: group, limits: Self.limits(for: socket),
            log: { [logger] event in Self.log(event, to: logger) })
        try await server.run(on: listener, onReady: onReady)
    }

    /// What is served on a socket.
    func service(for socket: Socket) -> VarlinkService {
        let looking = LookingMethods(backend: backend)
        let status = VarlinkInterface(
            name: ControlInterface.status, description: ControlInterface.statusDescription
        ) { request in
            guard let reply = try await looking.respond(to: request, of: ControlInterface.status) else {
                throw VarlinkError.methodNotFound(request.fullName)
            }
            return reply
        }
        return VarlinkService(
            vendor: WSD.vendor, product: WSD.product, version: WSD.version, url: WSD.url,
            interfaces: [controlInterface(on: socket, looking), status])
    }

    private func controlInterface(on socket: Socket, _ looking: LookingMethods) -> VarlinkInterface {
        let name = ControlInterface.control
        let description = ControlInterface.controlDescription
        guard case .control = socket else { return VarlinkInterface(refusing: name, description: description) }
        let acting = ActingMethods(backend: backend, logger: logger)
        return VarlinkInterface(name: name, description: description) { request in
            if let reply = try await looking.respond(to: request, of: name) { return reply }
            if let reply = try await acting.respond(to: request, of: name) { return reply }
            throw VarlinkError.methodNotFound(request.fullName)
        }
    }

    /// The control socket's callers are trusted with the daemon already. The status socket is open to everyone, and a
    /// question is short: without these, any user could make the daemon hold 16 MiB for each of 1024 connections.
    private static func limits(for socket: Socket) -> VarlinkServer.Limits {
        var limits = VarlinkServer.Limits()
        if case .status = socket {
            limits.callByteCount = 64 << 10
            limits.connectionsPerUser = 256
        }
        return limits
    }

    private static func log(_ event: VarlinkServer.Event, to logger: Logger) {
        switch event {
        case .refused(let peer):
            logger.debug("control connection refused: too many are open", metadata: peer.metadata)
        case .malformed(let peer, let reason):
            logger.debug("control connection closed: \(reason)", metadata: peer.metadata)
        case .failed(let peer, let method, let reason):
            logger.error("\(method) failed: \(reason)", metadata: peer.metadata)
        }
    }
}
