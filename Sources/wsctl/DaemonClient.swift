import Control
import Varlink

/// The daemon, as a command talks to it: finds the socket, and turns errors into messages and exit codes.
struct DaemonClient {
    /// How long the daemon may be silent. systemd may have to start it first.
    private static let patienceSeconds = 45

    private let client: VarlinkClient
    private let interface: String

    /// Connects for figures. Both sockets serve `io.wsd.Status`, so where none was named, the one that everyone may open
    /// will do.
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
            // What was wrong with the first is the better message: it is the one to be fixed.
            guard let client = try? VarlinkClient(path: WSD.statusSocketPath, timeoutSeconds: timeoutSeconds) else {
                throw Failure(error)
            }
            return DaemonClient(client, ControlInterface.status)
        }
    }

    /// Connects for seeing who is there, which needs the control socket as acting does.
    static func forLooking(
        _ options: GlobalOptions, timeoutSeconds: Int = patienceSeconds
    ) throws(Failure) -> DaemonClient {
        try forActing(options, timeoutSeconds: timeoutSeconds)
    }

    /// Connects for everything.
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

    /// Has something else wait for the daemon, which may have enough of it; nil for the client itself.
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

    /// Calls a method that replies more than once, and hands over each reply as it comes.
    ///
    /// - Parameter maySleep: whether the daemon may be silent for any time.
    func callMore<Reply: Decodable>(
        _ member: String, _ parameters: some Encodable, returning type: Reply.Type = Reply.self,
        maySleep: Bool = false, forEach body: (Reply) throws -> Void
    ) throws {
        do {
            try client.callMore(
                "\(interface).\(member)", parameters, returning: type, isEndless: maySleep, forEach: body)
        } catch let error as VarlinkClientError {
            // Over a long call, a connection that closes means that nobody is there any more.
            if maySleep, case .disconnected(let path) = error { throw Failure(.ended(path: path)) }
            throw Failure(error)
        }
    }

    /// Calls a method that replies as long as the daemon lives, and hands over each reply as it comes.
    ///
    /// - Throws: what `body` throws, and at the end of the daemon that it has ended.
    func follow<Reply: Decodable>(
        _ member: String, _ parameters: some Encodable, returning type: Reply.Type = Reply.self,
        forEach body: (Reply) throws -> Void
    ) throws {
        try callMore(member, parameters, returning: type, maySleep: true, forEach: body)
        // A daemon that drains says the last word; one that is killed doesn't get so far.
        throw Failure(.ended(path: client.path))
    }
}
