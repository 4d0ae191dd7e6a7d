import Control
import Varlink

/// The daemon, as a command talks to it: finds the socket, and turns errors into messages and exit codes.
struct DaemonClient {
    private let client: VarlinkClient
    private let interface: String

    /// Connects for looking. Both sockets serve `io.wsd.Status`, so where none was named, the one that everyone may open
    /// will do.
    static func forLooking(_ options: GlobalOptions) throws(Failure) -> DaemonClient {
        if let path = options.namedSocket { return try DaemonClient(path, ControlInterface.status) }
        do throws(VarlinkClientError) {
            return DaemonClient(try VarlinkClient(path: WSD.controlSocketPath), ControlInterface.status)
        } catch {
            switch error {
            case .notPermitted, .notReachable: break
            default: throw Failure(error)
            }
            // What was wrong with the first is the better message: it is the one to be fixed.
            guard let client = try? VarlinkClient(path: WSD.statusSocketPath) else { throw Failure(error) }
            return DaemonClient(client, ControlInterface.status)
        }
    }

    /// Connects for everything.
    static func forActing(_ options: GlobalOptions) throws(Failure) -> DaemonClient {
        try DaemonClient(options.namedSocket ?? WSD.controlSocketPath, ControlInterface.control)
    }

    private init(_ path: String, _ interface: String) throws(Failure) {
        do throws(VarlinkClientError) {
            self.init(try VarlinkClient(path: path), interface)
        } catch {
            throw Failure(error)
        }
    }

    private init(_ client: VarlinkClient, _ interface: String) {
        self.client = client
        self.interface = interface
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
    /// - Parameter isEndless: whether the daemon may be silent for any time.
    func callMore<Reply: Decodable>(
        _ member: String, _ parameters: some Encodable, returning type: Reply.Type = Reply.self,
        isEndless: Bool = false, forEach body: (Reply) throws -> Void
    ) throws {
        do {
            try client.callMore(
                "\(interface).\(member)", parameters, returning: type, isEndless: isEndless, forEach: body)
        } catch let error as VarlinkClientError {
            throw Failure(error)
        }
    }
}
