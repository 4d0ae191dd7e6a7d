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

/// Counts the bytes of all requests' bodies that the API holds: those that arrive, and those that are being answered.
final class BodyBudget: Sendable {
    private let count = Atomic(0)

    /// Takes bytes; false, and none taken, where there would be more than the maximum.
    func take(_ byteCount: Int) -> Bool {
        guard count.add(byteCount, ordering: .relaxed).newValue > APIServer.maximumBodiesByteCount else { return true }
        count.subtract(byteCount, ordering: .relaxed)
        return false
    }

    func giveBack(_ byteCount: Int) { count.subtract(byteCount, ordering: .relaxed) }
}
