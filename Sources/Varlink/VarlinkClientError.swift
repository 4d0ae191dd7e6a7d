/// The reason why a call failed on the client's side.
package enum VarlinkClientError: Error, Sendable, Hashable {
    /// Nothing listens there: no such file, no process behind it, or a path that is invalid for a socket.
    case notReachable(path: String, reason: String)
    /// The socket exists, but this user may not open it.
    case notPermitted(path: String)
    /// The service closed the connection before it had answered.
    case disconnected(path: String)
    /// The service closed the connection after it had answered other calls, or part of this one.
    case ended(path: String)
    /// The client stopped waiting for the answer.
    case interrupted(path: String)
    /// The service didn't answer in time, in seconds.
    case timedOut(path: String, seconds: Int)
    /// The reply isn't Varlink, or not of the method's type.
    case protocolViolation(path: String, reason: String)
    /// The service answered with an error.
    case failed(VarlinkError)
}

extension VarlinkClientError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notReachable(let path, let reason): "cannot reach \(path): \(reason)"
        case .notPermitted(let path): "may not open \(path)"
        case .disconnected(let path): "\(path): the service closed the connection before it had answered"
        case .ended(let path): "\(path): the service has ended"
        case .interrupted(let path): "\(path): not waited for"
        case .timedOut(let path, let seconds): "\(path): no answer within \(seconds) s"
        case .protocolViolation(let path, let reason): "\(path): not understood: \(reason)"
        case .failed(let error): error.description
        }
    }
}
