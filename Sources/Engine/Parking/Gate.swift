import Synchronization

/// The entry for what operators and backends change in a hub, which closes when the hub is parked: whatever entered before
/// is with the workers then, and nothing comes after it.
///
/// Without it, a channel's home could give a number to a message, or count a member, that another worker's section does
/// not have. Whoever is inside only posts messages, so that nobody is inside for long.
final class Gate: Sendable {
    /// The number of those inside; with `closed` added, nobody else gets in.
    private let state = Atomic<Int>(0)
    private static let closed = 1 << 32

    /// Lets the caller in, who calls `leave` next; false if the gate is closed.
    func enter() -> Bool {
        guard state.add(1, ordering: .acquiring).oldValue < Gate.closed else {
            leave()
            return false
        }
        return true
    }

    func leave() { state.subtract(1, ordering: .releasing) }

    /// Closes the gate for good. Returns when nobody is inside.
    func close() async {
        if state.load(ordering: .relaxed) < Gate.closed { state.add(Gate.closed, ordering: .acquiringAndReleasing) }
        while state.load(ordering: .acquiring) > Gate.closed { try? await Task.sleep(for: .milliseconds(1)) }
    }
}

/// The hub is being parked, so that nothing of it can be changed any more.
package struct HubParked: Error {
    /// The reason, for a person.
    package let reason = ParkedSocket.restarting
}
