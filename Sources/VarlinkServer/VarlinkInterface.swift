import Varlink

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
