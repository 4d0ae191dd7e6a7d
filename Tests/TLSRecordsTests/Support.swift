@testable import TLSRecords

extension RecordOpener {
    /// Passes over a record that the other end has sealed in its handshake.
    mutating func skip() throws(TLSFault) { _ = try keys.takeNonce() }
}

extension TrafficKeys {
    /// Goes on with a number, as if the records before it had been sealed.
    mutating func skip(to number: UInt64) { sequence = number }
}
