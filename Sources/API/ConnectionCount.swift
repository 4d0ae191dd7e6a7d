internal import Synchronization

/// How many connections there are.
final class ConnectionCount: Sendable {
    /// What a new connection may do.
    enum Place { case ordinary, reserved, none }

    private let count = Atomic(0)

    /// Counts one more.
    func enter() -> Place {
        let count = count.add(1, ordering: .relaxed).newValue
        if count <= APIServer.maximumConnections { return .ordinary }
        return count <= APIServer.maximumConnections + APIServer.reservedConnections ? .reserved : .none
    }

    func leave() { count.subtract(1, ordering: .relaxed) }
}
