package import Broker
internal import Synchronization

/// How a source is, and whether this node is the one that reads it, as its reader tells it to other threads.
package final class ReadingTerm: Sendable {
    package struct Value: Sendable {
        package var state = SourceState(.down(reason: "not connected yet"))
        /// Counts how often this node has become the one that reads.
        package var term: UInt64 = 0
        /// The time until which the term is this node's.
        package var until: ContinuousClock.Instant?
    }

    private let value = Mutex(Value())

    package init() {}

    package var state: SourceState { value.withLock(\.state) }

    package func change(_ body: (inout Value) -> Void) { value.withLock { body(&$0) } }

    /// Whether a term is this node's and goes on.
    package func isCurrent(_ term: UInt64) -> Bool {
        value.withLock { value in value.term == term && value.until.map { ContinuousClock.now < $0 } ?? false }
    }
}
