import FoundationEssentials

/// A connection to a Varlink service for a command-line tool: it blocks, makes one call after the other, and belongs to
/// one thread.
package final class VarlinkClient {
    /// The path of the service's socket.
    package let path: String
    private var socket: ClientSocket
    private var splitter = FrameSplitter()
    /// Whether the service has answered anything: if it then closes the connection, it has ended, and isn't something
    /// else.
    private var hasAnswered = false

    /// Waits until a descriptor is readable or the number of seconds has passed, without limit if that is nil; false to
    /// stop waiting.
    package typealias Wait = (_ descriptor: CInt, _ seconds: Int?) -> Bool
    /// Waits for the service in a program that has other things to do meanwhile; nil means that the client itself
    /// waits. A call during which it returns false fails with ``VarlinkClientError/interrupted(path:)``.
    package var wait: Wait?

    /// Connects to the service that listens on a Unix socket.
    ///
    /// - Parameters:
    ///   - path: the socket's path.
    ///   - timeoutSeconds: how long the service may be silent, or not read, during a call. It includes the start of a
    ///     service that is started by the connection itself.
    package init(path: String, timeoutSeconds: Int = 45) throws(VarlinkClientError) {
        self.path = path
        socket = try ClientSocket(path: path, timeoutSeconds: timeoutSeconds)
    }

    /// Calls a method and waits for its reply.
    package func call<Reply: Decodable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), returning type: Reply.Type = Reply.self
    ) throws(VarlinkClientError) -> Reply {
        try send(method, parameters)
        let reply = try receive(type)
        guard !reply.continues else {
            throw .protocolViolation(path: path, reason: "more than one reply to \(method)")
        }
        return try reply.get()
    }

    /// Calls a method that replies more than once, and passes on each reply as it comes.
    ///
    /// An error thrown by `body` ends the call; the connection can't be used afterwards.
    ///
    /// - Parameter isEndless: whether the service may be silent for any length of time.
    package func callMore<Reply: Decodable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), returning type: Reply.Type = Reply.self,
        isEndless: Bool = false, forEach body: (Reply) throws -> Void
    ) throws {
        try send(method, parameters, more: true)
        if isEndless { socket.waitForever() }
        while true {
            let reply = try receive(type)
            try body(try reply.get())
            if !reply.continues { return }
        }
    }

    /// Calls a method without a reply. Returns when the call has been sent, not when it has been executed.
    package func callOneway(
        _ method: String, _ parameters: some Encodable = NoParameters()
    ) throws(VarlinkClientError) {
        try send(method, parameters, oneway: true)
    }

    private func send(
        _ method: String, _ parameters: some Encodable, more: Bool = false, oneway: Bool = false
    ) throws(VarlinkClientError) {
        let message: Data
        do {
            message = try VarlinkMessage.call(method, parameters, more: more, oneway: oneway, client: .own)
        } catch {
            // The only possible error is a number that JSON can't represent.
            throw .protocolViolation(path: path, reason: "\(error)")
        }
        do throws(VarlinkClientError) {
            try socket.send(Array(message))
        } catch {
            throw afterAnswers(error)
        }
    }

    /// The meaning of an error for a service that has answered before.
    private func afterAnswers(_ error: VarlinkClientError) -> VarlinkClientError {
        if hasAnswered, case .disconnected = error { .ended(path: path) } else { error }
    }

    private func receive<Reply: Decodable>(_ type: Reply.Type) throws(VarlinkClientError) -> VarlinkReply<Reply> {
        do {
            while true {
                if let message = try splitter.next() {
                    hasAnswered = true
                    return try VarlinkJSON.decode(VarlinkReply<Reply>.self, from: message)
                }
                let bytes = try socket.receive(waitingWith: wait)
                guard !bytes.isEmpty else { throw VarlinkClientError.disconnected(path: path) }
                splitter.append(bytes)
            }
        } catch let error as VarlinkClientError {
            throw afterAnswers(error)
        } catch let error as FrameSplitter.FrameTooLarge {
            throw .protocolViolation(path: path, reason: "a reply of more than \(error.limit) bytes")
        } catch {
            throw .protocolViolation(path: path, reason: VarlinkJSON.reason(error))
        }
    }
}

extension VarlinkReply {
    /// The method's reply, or its error.
    fileprivate func get() throws(VarlinkClientError) -> Parameters {
        switch result {
        case .success(let parameters): return parameters
        case .failure(let error): throw .failed(error)
        }
    }
}

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
