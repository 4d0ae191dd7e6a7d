package import NIOHTTP1
internal import Synchronization
internal import WebSocket

/// A request.
package struct Request: Sendable {
    package var method: HTTPMethod
    package var path: String
    package var query: [(name: String, value: String)]
    package var headers: HTTPHeaders
    /// The body; empty until it has arrived.
    package var body: [UInt8]
    /// The address of the client, for the log.
    package var address: String

    package init(_ head: HTTPRequestHead, body: [UInt8] = [], address: String) {
        let parts = Self.originForm(head.uri).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        method = head.method
        path = String(parts[0])
        query = parts.count < 2 ? [] : FormQuery.parameters(in: parts[1])
        headers = head.headers
        self.body = body
        self.address = address
    }

    /// The bearer token, or the X-API-Key header. Other credentials are for an intermediary.
    var key: String? {
        for field in headers["authorization"] {
            let parts = field.split(separator: " ", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "bearer" { return String(parts[1].trimmed) }
        }
        return headers.first(name: "x-api-key")
    }

    /// The target without scheme and authority, a form that a server must accept as well (RFC 9112, section 3.2.2).
    private static func originForm(_ target: String) -> Substring {
        for scheme in ["http://", "https://"] where target.prefix(scheme.count).lowercased() == scheme {
            let rest = target.dropFirst(scheme.count)
            guard let end = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
            return rest[end] == "/" ? rest[end...] : "/" + rest[end...]
        }
        return target[...]
    }
}

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
