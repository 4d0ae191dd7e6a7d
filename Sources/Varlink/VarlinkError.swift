/// An error of an interface in its wire form: its full name and its parameters.
package struct VarlinkError: Error, Sendable, Hashable {
    /// The full name, such as `org.varlink.service.MethodNotFound`.
    package let name: String
    /// The error's parameters, by name.
    package let parameters: [String: VarlinkValue]

    /// An error by its full name.
    package init(name: String, parameters: [String: VarlinkValue] = [:]) {
        self.name = name
        self.parameters = parameters
    }

    /// The string in a parameter; nil if there is none of that name and type.
    package func string(_ parameter: String) -> String? {
        if case .string(let value) = parameters[parameter] { value } else { nil }
    }
}

extension VarlinkError: CustomStringConvertible {
    package var description: String {
        if parameters.isEmpty { return name }
        let list = parameters.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        return "\(name)(\(list.joined(separator: ", ")))"
    }
}

// The errors that every service may return: https://varlink.org/Service
extension VarlinkError {
    /// The service has no such interface.
    package static func interfaceNotFound(_ interface: String) -> VarlinkError {
        VarlinkError(name: "org.varlink.service.InterfaceNotFound", parameters: ["interface": .string(interface)])
    }

    /// The interface has no such method; `method` is the name as it was called.
    package static func methodNotFound(_ method: String) -> VarlinkError {
        VarlinkError(name: "org.varlink.service.MethodNotFound", parameters: ["method": .string(method)])
    }

    /// The interface describes the method, but this service doesn't have it.
    package static func methodNotImplemented(_ method: String) -> VarlinkError {
        VarlinkError(name: "org.varlink.service.MethodNotImplemented", parameters: ["method": .string(method)])
    }

    /// A parameter is missing, unknown, of another type, or out of range.
    package static func invalidParameter(_ parameter: String) -> VarlinkError {
        VarlinkError(name: "org.varlink.service.InvalidParameter", parameters: ["parameter": .string(parameter)])
    }

    /// The caller may not do this here.
    package static let permissionDenied = VarlinkError(name: "org.varlink.service.PermissionDenied")

    /// The method answers more than once and must be called with `more`.
    package static let expectedMore = VarlinkError(name: "org.varlink.service.ExpectedMore")
}
