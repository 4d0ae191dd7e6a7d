/// `org.varlink.service`, which every Varlink service has: it identifies the service and describes its interfaces.
package enum ServiceInterface {
    /// The interface's name.
    package static let name = "org.varlink.service"

    /// The reply of `GetInfo`.
    package struct Info: Codable, Sendable, Hashable {
        /// The vendor.
        package let vendor: String
        /// The product.
        package let product: String
        /// Its version.
        package let version: String
        /// The documentation.
        package let url: String
        /// The names of its interfaces.
        package let interfaces: [String]

        /// A service's information about itself.
        package init(vendor: String, product: String, version: String, url: String, interfaces: [String]) {
            self.vendor = vendor
            self.product = product
            self.version = version
            self.url = url
            self.interfaces = interfaces
        }
    }

    /// The parameters of `GetInterfaceDescription`.
    package struct DescriptionParameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case interface }

        /// The interface to describe.
        package let interface: String

        /// The interface to describe.
        package init(interface: String) { self.interface = interface }
    }

    /// The reply of `GetInterfaceDescription`.
    package struct DescriptionReply: Codable, Sendable, Hashable {
        /// The description, in Varlink's interface definition language.
        package let description: String

        /// A description as it is returned.
        package init(description: String) { self.description = description }
    }

    /// The interface's own description.
    package static let description = """
        # What every Varlink service can say about itself.
        interface org.varlink.service

        # Who the service is, and which interfaces it has.
        method GetInfo() -> (
            vendor: string,
            product: string,
            version: string,
            url: string,
            interfaces: []string
        )

        # Describe an interface.
        method GetInterfaceDescription(interface: string) -> (description: string)

        # The service has no such interface.
        error InterfaceNotFound (interface: string)

        # The interface has no such method.
        error MethodNotFound (method: string)

        # The service doesn't have this method of the interface.
        error MethodNotImplemented (method: string)

        # A parameter is missing, unknown, of another type, or out of range.
        error InvalidParameter (parameter: string)

        # The caller may not do this here.
        error PermissionDenied ()

        # The method answers more than once and must be called with more.
        error ExpectedMore ()

        """
}
