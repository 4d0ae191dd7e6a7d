package import Operations
package import WebSocket

/// An event on a worker that an operator may want to know about, and what only the log says of it.
package struct EngineEvent: Sendable {
    /// What watchers get: `connect`, `close`, `refuse`, `slow` or `trouble`.
    package var event: Event
    /// Whether it is logged at the default level, and reported even if not `Hub.reportsEverything`.
    package var isNoteworthy = true
    /// The port of the peer, which may be a proxy; 0 if it is not known.
    package var port: UInt16 = 0
    /// The client's User-Agent; only set while `Hub.reportsEverything`.
    package var userAgent: String?
    /// The status of the response to a refused client.
    package var status: HTTPStatus?
    /// The bytes that a closed connection received and sent.
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// The error of accept(2), with the kind `trouble`.
    package var errorNumber: Int32 = 0

    init(_ event: Event) { self.event = event }
}
