import Varlink

/// One interface that a service has: how it describes itself, and what it does.
package struct VarlinkInterface: Sendable {
    /// Carries out one call and returns its last reply; those before it go out by ``VarlinkRequest/yield(_:)``.
    ///
    /// A thrown `VarlinkError` becomes the reply. It is cancelled when the server stops and, for a call with `more`,
    /// when the caller goes away.
    package typealias Handler = @Sendable (VarlinkRequest) async throws -> any Encodable & Sendable

    /// The interface's name, such as `io.wsd.Control`.
    package let name: String
    /// Its description in Varlink's interface definition language.
    package let description: String
    /// Whether `GetInfo` lists it.
    package let isListed: Bool
    /// Carries out its methods. One that it doesn't know ends in `MethodNotFound`.
    let handler: Handler

    /// An interface that is served.
    package init(name: String, description: String, handler: @escaping Handler) {
        self.name = name
        self.description = description
        isListed = true
        self.handler = handler
    }

    /// An interface that exists, but not on this socket: every call of it is told `PermissionDenied` rather than that
    /// there is no such thing.
    package init(refusing name: String, description: String) {
        self.name = name
        self.description = description
        isListed = false
        handler = { _ in throw VarlinkError.permissionDenied }
    }
}
