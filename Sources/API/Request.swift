package import NIOHTTP1
internal import WebSocket

/// A whole request.
package struct Request: Sendable {
    package var method: HTTPMethod
    package var path: String
    package var query: [(name: String, value: String)]
    package var headers: HTTPHeaders
    package var body: [UInt8]
    /// Where it comes from, for the log.
    package var address: String

    package init(_ head: HTTPRequestHead, body: [UInt8], address: String) {
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        method = head.method
        path = String(parts[0])
        query = parts.count < 2 ? [] : FormQuery.parameters(in: parts[1])
        headers = head.headers
        self.body = body
        self.address = address
    }

    /// The bearer token, or the X-API-Key field.
    var key: String? {
        if let field = headers.first(name: "authorization") {
            let parts = field.split(separator: " ", maxSplits: 1)
            return parts.count == 2 && parts[0].lowercased() == "bearer" ? String(parts[1]) : nil
        }
        return headers.first(name: "x-api-key")
    }
}
