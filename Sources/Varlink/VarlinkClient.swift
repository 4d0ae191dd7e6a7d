import FoundationEssentials

/// A connection to a Varlink service, for a command-line tool: it blocks, makes one call after the other, and belongs to
/// one thread.
package final class VarlinkClient {
    /// Where the service listens.
    package let path: String
    private var socket: ClientSocket
    private var splitter = FrameSplitter()
    /// Whether the service has answered anything: one that goes away then has ended, and isn't something else.
    private var hasAnswered = false

    /// Waits until a descriptor can be read or so many seconds have passed, any time where that is nil; false when nobody
    /// wants to wait any longer.
    package typealias Wait = (_ descriptor: CInt, _ seconds: Int?) -> Bool
    /// What waits for the service, for a program that has more to look after meanwhile; nil means the client does. The call
    /// during which it returns false fails with ``VarlinkClientError/interrupted(path:)``.
    package var wait: Wait?

    /// Connects to the service that listens on a Unix socket.
    ///
    /// - Parameters:
    ///   - path: The socket's path.
    ///   - timeoutSeconds: How long the service may be silent, or not read, while it is waited for. A service that is
    ///     started by the connection itself needs some of it.
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

    /// Calls a method that replies more than once, and hands over each reply as it comes.
    ///
    /// - Parameter isEndless: whether the service may be silent for any time.
    ///
    /// What `body` throws ends the call; the connection is of no further use then.
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

    /// Calls a method whose reply nobody wants. Returns when the call is on its way, not when it is carried out.
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
            // Only a number that JSON can't say gets here.
            throw .protocolViolation(path: path, reason: "\(error)")
        }
        do throws(VarlinkClientError) {
            try socket.send(Array(message))
        } catch {
            throw afterAnswers(error)
        }
    }

    /// What an error means of a service that has answered before.
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
    /// What the method returned.
    fileprivate func get() throws(VarlinkClientError) -> Parameters {
        switch result {
        case .success(let parameters): return parameters
        case .failure(let error): throw .failed(error)
        }
    }
}
