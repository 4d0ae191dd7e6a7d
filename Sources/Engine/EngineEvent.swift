package import WebSocket

/// Something that happened on a worker and that an operator may want to read about.
package enum EngineEvent: Sendable {
    /// A WebSocket opened; only reported while `Hub.reportsEverything`.
    case opened(ConnectionID, IPAddress, port: UInt16, endpoint: String)
    /// A WebSocket began to end. Unremarkable ones only while `Hub.reportsEverything`.
    case closed(
        ConnectionID, IPAddress, endpoint: String, channel: String?, CloseCause, code: CloseCode, reason: String,
        queuedBytes: Int
    )
    /// A slow consumer begins to lose messages; said once until its queue is empty again.
    case dropping(ConnectionID, IPAddress, endpoint: String, channel: String?, queuedBytes: Int)
    case refused(RefusalCause, IPAddress, reason: String)
    /// accept(2) fails; the worker tries again shortly.
    case acceptFailed(errno: Int32)
}
