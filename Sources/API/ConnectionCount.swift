internal import Synchronization

/// Counts the open connections.
final class ConnectionCount: Sendable {
    /// The kind of place that a new connection gets.
    enum Place { case ordinary, reserved, none }

    private let count = Atomic(0)

    /// Counts a new connection.
    func enter() -> Place {
        let count = count.add(1, ordering: .relaxed).newValue
        if count <= APIServer.maximumConnections { return .ordinary }
        return count <= APIServer.maximumConnections + APIServer.reservedConnections ? .reserved : .none
    }

    func leave() { count.subtract(1, ordering: .relaxed) }
}
