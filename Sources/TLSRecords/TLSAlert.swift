/// An alert of TLS (RFC 8446, section 6), by its number.
package struct TLSAlert: RawRepresentable, Sendable, Hashable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let closeNotify = TLSAlert(rawValue: 0)
    package static let unexpectedMessage = TLSAlert(rawValue: 10)
    package static let badRecordMAC = TLSAlert(rawValue: 20)
    package static let recordOverflow = TLSAlert(rawValue: 22)
    package static let illegalParameter = TLSAlert(rawValue: 47)
    package static let decodeError = TLSAlert(rawValue: 50)
    package static let protocolVersion = TLSAlert(rawValue: 70)
    package static let internalError = TLSAlert(rawValue: 80)
    package static let userCanceled = TLSAlert(rawValue: 90)
    package static let noRenegotiation = TLSAlert(rawValue: 100)
}

/// The reason why a connection's records can't go on.
package struct TLSFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The alert that the peer gets; nil if it has sent one itself.
    package let alert: TLSAlert?
    /// The reason, for an operator.
    package let description: String

    package init(_ alert: TLSAlert?, _ description: String) {
        self.alert = alert
        self.description = description
    }

    static let cipher = TLSFault(.internalError, "a cipher of OpenSSL failed")
}
