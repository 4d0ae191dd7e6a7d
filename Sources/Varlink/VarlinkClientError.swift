/// Why a call from the client's side came to nothing.
package enum VarlinkClientError: Error, Sendable, Hashable {
    /// Nobody listens there: no such file, nobody behind it, or a path that no socket can have.
    case notReachable(path: String, reason: String)
    /// The socket is there and may not be opened by this user.
    case notPermitted(path: String)
    /// The service went away before it had answered.
    case disconnected(path: String)
    /// The service went away after it had answered other calls, or part of this one.
    case ended(path: String)
    /// Nobody wanted to wait for the answer any longer.
    case interrupted(path: String)
    /// The service didn't answer in time, in seconds.
    case timedOut(path: String, seconds: Int)
    /// What came isn't Varlink, or not what the method returns.
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
