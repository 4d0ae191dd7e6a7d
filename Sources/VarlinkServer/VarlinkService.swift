import Varlink

/// A service, independent of its transport: its identity and its interfaces.
package struct VarlinkService: Sendable {
    private let info: ServiceInterface.Info
    private let interfaces: [String: VarlinkInterface]

    /// A service. `org.varlink.service` is added to its interfaces.
    package init(vendor: String, product: String, version: String, url: String, interfaces: [VarlinkInterface]) {
        info = ServiceInterface.Info(
            vendor: vendor, product: product, version: version, url: url,
            interfaces: [ServiceInterface.name] + interfaces.filter(\.isListed).map(\.name))
        self.interfaces = Dictionary(uniqueKeysWithValues: interfaces.map { ($0.name, $0) })
    }

    /// Executes a call and returns its last reply.
    func respond(
        to call: VarlinkCall, from peer: PeerCredentials,
        send: @escaping @Sendable (any Encodable & Sendable) async throws -> Void
    ) async throws -> any Encodable & Sendable {
        guard let method = MethodName(call.method) else { throw VarlinkError.methodNotFound(call.method) }
        // No other protocol is supported after a call. An error is better than two sides that wait for each other.
        if call.upgrade { throw VarlinkError.methodNotImplemented(call.method) }
        if method.interface == ServiceInterface.name { return try describe(method, call) }
        guard let interface = interfaces[method.interface] else {
            throw VarlinkError.interfaceNotFound(method.interface)
        }
        return try await interface.handler(
            VarlinkRequest(member: method.member, peer: peer, call: call, send: send))
    }

    private func describe(_ method: MethodName, _ call: VarlinkCall) throws -> any Encodable & Sendable {
        switch method.member {
        case "GetInfo":
            _ = try call.parameters(as: NoParameters.self)
            return info
        case "GetInterfaceDescription":
            let name = try call.parameters(as: ServiceInterface.DescriptionParameters.self).interface
            if name == ServiceInterface.name {
                return ServiceInterface.DescriptionReply(description: ServiceInterface.description)
            }
            guard let interface = interfaces[name] else { throw VarlinkError.interfaceNotFound(name) }
            return ServiceInterface.DescriptionReply(description: interface.description)
        default:
            throw VarlinkError.methodNotFound(call.method)
        }
    }
}

/// One interface of a service: its description and its methods.
package struct VarlinkInterface: Sendable {
    /// Executes one call and returns its last reply; earlier replies are sent by ``VarlinkRequest/yield(_:)``.
    ///
    /// A thrown `VarlinkError` becomes the reply. The call is cancelled when the server stops and, with `more`, when
    /// the caller goes away.
    package typealias Handler = @Sendable (VarlinkRequest) async throws -> any Encodable & Sendable

    /// The interface's name, such as `io.wsd.Control`.
    package let name: String
    /// The interface's description in Varlink's interface definition language.
    package let description: String
    /// Whether `GetInfo` lists it.
    package let isListed: Bool
    /// Executes the interface's methods. An unknown method ends in `MethodNotFound`.
    let handler: Handler

    /// An interface that is served.
    package init(name: String, description: String, handler: @escaping Handler) {
        self.name = name
        self.description = description
        isListed = true
        self.handler = handler
    }

    /// An interface that exists, but not on this socket: every call of it gets `PermissionDenied` instead of the error
    /// that there is no such interface.
    package init(refusing name: String, description: String) {
        self.name = name
        self.description = description
        isListed = false
        handler = { _ in throw VarlinkError.permissionDenied }
    }
}
