package import Base

/// An event on a worker that an operator may want to know about.
package enum EngineEvent: Sendable {
    /// A WebSocket opened; only reported while `Hub.reportsEverything`.
    case opened(
        ConnectionID, IPAddress, port: UInt16, endpoint: String, user: String?, channel: String, userAgent: String?)
    /// A WebSocket began to end, or a client was refused. Unremarkable endings are only reported while
    /// `Hub.reportsEverything`.
    case ended(Ending)
    /// A slow consumer begins to lose messages; reported once until its queue is empty again.
    case dropping(
        ConnectionID, IPAddress, endpoint: String, user: String?, channels: [String], queuedBytes: Int)
    /// accept(2) fails; the worker tries again shortly.
    case acceptFailed(errno: Int32)
}
