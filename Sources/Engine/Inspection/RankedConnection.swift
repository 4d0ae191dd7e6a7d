import Base
import Operations

/// A connection with the value that it is sorted by.
struct RankedConnection: Sendable {
    var value: UInt64
    var connection: ConnectionRow
}

extension ConnectionSelection {
    /// Whether an ending is that of a selected connection.
    func selects(_ ending: Ending) -> Bool {
        selects(
            id: ending.id, address: ending.address, endpoint: ending.endpoint, user: ending.user,
            channels: ending.channels)
    }
}
