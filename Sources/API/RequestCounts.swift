internal import Synchronization

/// Counts the requests by path and status.
final class RequestCounts: Sendable {
    private struct Key: Hashable {
        var path: String
        var status: UInt
    }

    private let counts = Mutex<[Key: UInt64]>([:])

    /// - Parameter path: one of the API's own paths: clients can choose any other, which must not become a label.
    func note(path: String, status: UInt) { counts.withLock { $0[Key(path: path, status: status), default: 0] += 1 } }

    /// All counts by path and status.
    var all: [(path: String, status: UInt, count: UInt64)] {
        counts.withLock { $0.map { ($0.key.path, $0.key.status, $0.value) } }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    }
}
