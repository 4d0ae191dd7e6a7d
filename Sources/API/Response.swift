package import NIOHTTP1

/// The response to a request.
package struct Response: Sendable {
    package var status: HTTPResponseStatus
    package var contentType: String
    package var body: [UInt8]
    package var fields: [(String, String)] = []
    /// Whether the response says that nothing was done, so that the same request may be executed again.
    var isVoid = false

    package init(
        _ status: HTTPResponseStatus = .ok, _ contentType: String, _ body: [UInt8], fields: [(String, String)] = []
    ) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.fields = fields
    }

    /// A line of text.
    package static func text(_ status: HTTPResponseStatus, _ line: String) -> Response {
        Response(status, "text/plain; charset=utf-8", Array("\(line)\n".utf8))
    }
}

/// An error as `application/problem+json` (RFC 9457).
package struct Problem: Error, Sendable {
    var status: HTTPResponseStatus
    /// The error, and the way out.
    var detail: String
    var fields: [(String, String)] = []

    package init(_ status: HTTPResponseStatus, _ detail: String, fields: [(String, String)] = []) {
        self.status = status
        self.detail = detail
        self.fields = fields
    }

    var answer: Response {
        let content = Content(title: status.reasonPhrase, status: Int(status.code), detail: detail)
        return Response(status, "application/problem+json", JSON.encode(content), fields: fields)
    }

    private struct Content: Encodable {
        var title: String
        var status: Int
        var detail: String
    }
}
