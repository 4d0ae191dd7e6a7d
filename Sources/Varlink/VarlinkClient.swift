import FoundationEssentials

/// A connection to a Varlink service, for a command-line tool: it blocks, makes one call after the other, and belongs to
/// one thread.
package final class VarlinkClient {
    /// Where the service listens.
    package let path: String
    private let socket: ClientSocket
    private var splitter = FrameSplitter()

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
            message = try VarlinkMessage.call(method, parameters, more: more, oneway: oneway)
        } catch {
            // Only a number that JSON can't say gets here.
            throw .protocolViolation(path: path, reason: "\(error)")
        }
        try socket.send(Array(message))
    }

    private func receive<Reply: Decodable>(_ type: Reply.Type) throws(VarlinkClientError) -> VarlinkReply<Reply> {
        do {
            while true {
                if let message = try splitter.next() {
                    return try VarlinkJSON.decode(VarlinkReply<Reply>.self, from: message)
                }
                let bytes = try socket.receive()
                guard !bytes.isEmpty else { throw VarlinkClientError.disconnected(path: path) }
                splitter.append(bytes)
            }
        } catch let error as VarlinkClientError {
            throw error
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
