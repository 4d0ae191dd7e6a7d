import Control
import Varlink

/// A command's connection to the daemon: finds the socket, and turns errors into messages and exit codes.
struct DaemonClient {
    /// How long the daemon may be silent; systemd may have to start it first.
    private static let patienceSeconds = 45

    private let client: VarlinkClient
    private let interface: String

    /// Connects for figures. Both sockets serve `io.wsd.Status`, so if no socket was named, the status socket is the
    /// second choice.
    static func forFigures(
        _ options: GlobalOptions, timeoutSeconds: Int = patienceSeconds
    ) throws(Failure) -> DaemonClient {
        if let path = options.namedSocket { return try DaemonClient(path, ControlInterface.status, timeoutSeconds) }
        do throws(VarlinkClientError) {
            let client = try VarlinkClient(path: WSD.controlSocketPath, timeoutSeconds: timeoutSeconds)
            return DaemonClient(client, ControlInterface.status)
        } catch {
            switch error {
            case .notPermitted, .notReachable: break
            default: throw Failure(error)
            }
            // The error of the first socket is the better message: that is the one to be fixed.
            guard let client = try? VarlinkClient(path: WSD.statusSocketPath, timeoutSeconds: timeoutSeconds) else {
                throw Failure(error)
            }
            return DaemonClient(client, ControlInterface.status)
        }
    }

    /// Connects for commands that only read but identify clients; they need the control socket as well.
    static func forLooking(
        _ options: GlobalOptions, timeoutSeconds: Int = patienceSeconds
    ) throws(Failure) -> DaemonClient {
        try forActing(options, timeoutSeconds: timeoutSeconds)
    }

    /// Connects for commands that change something.
    static func forActing(
        _ options: GlobalOptions, timeoutSeconds: Int = patienceSeconds
    ) throws(Failure) -> DaemonClient {
        try DaemonClient(options.namedSocket ?? WSD.controlSocketPath, ControlInterface.control, timeoutSeconds)
    }

    private init(_ path: String, _ interface: String, _ timeoutSeconds: Int) throws(Failure) {
        do throws(VarlinkClientError) {
            self.init(try VarlinkClient(path: path, timeoutSeconds: timeoutSeconds), interface)
        } catch {
            throw Failure(error)
        }
    }

    private init(_ client: VarlinkClient, _ interface: String) {
        self.client = client
        self.interface = interface
    }

    /// Makes something else wait for the daemon's replies, which can stop waiting; nil for the client itself.
    func wait(with wait: VarlinkClient.Wait?) {
        client.wait = wait
    }

    /// Calls a method and waits for its reply.
    func call<Reply: Decodable>(
        _ member: String, _ parameters: some Encodable = NoParameters(), returning type: Reply.Type = Reply.self
    ) throws(Failure) -> Reply {
        do throws(VarlinkClientError) {
            return try client.call("\(interface).\(member)", parameters, returning: type)
        } catch {
            throw Failure(error)
        }
    }

    /// Calls a method that replies more than once, and passes on each reply as it comes.
    ///
    /// - Parameter maySleep: whether the daemon may be silent for any length of time.
    func callMore<Reply: Decodable>(
        _ member: String, _ parameters: some Encodable, returning type: Reply.Type = Reply.self,
        maySleep: Bool = false, forEach body: (Reply) throws -> Void
    ) throws {
        do {
            try client.callMore(
                "\(interface).\(member)", parameters, returning: type, isEndless: maySleep, forEach: body)
        } catch let error as VarlinkClientError {
            // In a long call, a connection that closes means that the daemon has ended.
            if maySleep, case .disconnected(let path) = error { throw Failure(.ended(path: path)) }
            throw Failure(error)
        }
    }

    /// Calls a method that replies as long as the daemon lives, and passes on each reply as it comes.
    ///
    /// - Throws: the errors of `body`, and a failure when the daemon ends.
    func follow<Reply: Decodable>(
        _ member: String, _ parameters: some Encodable, returning type: Reply.Type = Reply.self,
        forEach body: (Reply) throws -> Void
    ) throws {
        try callMore(member, parameters, returning: type, maySleep: true, forEach: body)
        // A daemon that drains sends a last reply; one that is killed doesn't get this far.
        throw Failure(.ended(path: client.path))
    }
}
