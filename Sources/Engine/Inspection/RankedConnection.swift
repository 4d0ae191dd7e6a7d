import Operations

/// A connection with the value that it is sorted by.
struct RankedConnection: Sendable {
    var value: UInt64
    var connection: ConnectionRow
}
