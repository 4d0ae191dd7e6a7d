package import ClusterControl
package import Control
import Varlink
package import VarlinkServer

/// The services on the daemon's control sockets: `io.wsd.Control` and `io.wsd.Status`, answered by a
/// ``ControlBackend``.
///
/// The socket that a caller could open decides what the caller may do. Calls that change something reach the backend
/// together with their caller, and the backend logs them.
package struct ControlService: Sendable {
    /// The service on the control socket: everything.
    package let control: VarlinkService
    /// The service on the status socket: figures only, which identify no client. Other calls are answered with the
    /// error that they aren't permitted here.
    package let status: VarlinkService

    /// The services of a hub.
    ///
    /// - Parameter cluster: all nodes; nil if this one has no broker.
    package init(backend: any ControlBackend, cluster: Cluster? = nil) {
        let figures = FigureMethods(backend: backend)
        let looking = LookingMethods(backend: backend, cluster: cluster)
        let acting = ActingMethods(backend: backend, cluster: cluster)
        let name = ControlInterface.control
        let description = ControlInterface.controlDescription
        let statusInterface = VarlinkInterface(
            name: ControlInterface.status, description: ControlInterface.statusDescription
        ) { request in
            if let reply = try await figures.respond(to: request) { return reply }
            throw VarlinkError.methodNotFound(request.fullName)
        }
        let statusForEverybody = VarlinkInterface(
            name: statusInterface.name, description: statusInterface.description
        ) { request in
            if let reply = try await figures.respond(to: request) { return reply }
            // The method was available here once, and this error helps an old client more.
            if LookingMethods.names.contains(request.member) { throw VarlinkError.permissionDenied }
            throw VarlinkError.methodNotFound(request.fullName)
        }
        let controlInterface = VarlinkInterface(name: name, description: description) { request in
            if let reply = try await figures.respond(to: request) { return reply }
            if let reply = try await looking.respond(to: request, of: name) { return reply }
            if let reply = try await acting.respond(to: request, of: name) { return reply }
            throw VarlinkError.methodNotFound(request.fullName)
        }
        control = Self.service([controlInterface, statusInterface])
        status = Self.service([VarlinkInterface(refusing: name, description: description), statusForEverybody])
    }

    /// The limits of the status socket. Every user of the machine may open it, and its calls are short: with the
    /// server's defaults any of them could make the daemon hold 16 MiB for each of 1024 connections.
    package static var statusLimits: VarlinkServer.Limits {
        var limits = VarlinkServer.Limits()
        limits.callByteCount = 64 << 10
        limits.connectionsPerUser = 256
        return limits
    }

    private static func service(_ interfaces: [VarlinkInterface]) -> VarlinkService {
        VarlinkService(
            vendor: WSD.vendor, product: WSD.product, version: WSD.version, url: WSD.url, interfaces: interfaces)
    }
}
