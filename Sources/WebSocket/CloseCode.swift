/// The status code of a close frame (RFC 6455, section 7.4, and IANA's WebSocket Close Code registry).
package struct CloseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = CloseCode(rawValue: 1000)
    package static let goingAway = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    package static let unsupportedData = CloseCode(rawValue: 1003)
    /// Never on the wire: the peer's close frame had no status code.
    package static let noStatus = CloseCode(rawValue: 1005)
    /// Never on the wire: the connection ended without a close frame.
    package static let abnormal = CloseCode(rawValue: 1006)
    package static let invalidData = CloseCode(rawValue: 1007)
    package static let policyViolation = CloseCode(rawValue: 1008)
    package static let messageTooBig = CloseCode(rawValue: 1009)
    package static let internalError = CloseCode(rawValue: 1011)
    package static let serviceRestart = CloseCode(rawValue: 1012)
    package static let tryAgainLater = CloseCode(rawValue: 1013)
    package static let unauthorized = CloseCode(rawValue: 3000)
    package static let forbidden = CloseCode(rawValue: 3003)
    package static let timeout = CloseCode(rawValue: 3008)

    /// Whether a close frame may carry this code: it is defined by the RFC or IANA, or in the ranges for libraries
    /// (3000 to 3999) and applications (4000 to 4999). RFC 6455, section 7.4.2.
    package var isValidOnTheWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    package var description: String { String(rawValue) }
}
