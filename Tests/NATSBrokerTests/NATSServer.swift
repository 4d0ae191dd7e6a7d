import Glibc
import Synchronization
import Testing

/// A NATS server that a test has for itself, on loopback, with JetStream unless it is told otherwise.
final class NATSServer: Sendable {
    var port: Int { process.port }
    var directory: String { process.directory }
    private let name: String
    /// The lines of the configuration beside the address and the directory.
    private let lines: Mutex<[String]>
    private let hasJetStream: Bool
    private let process: ServerProcess

    var store: String { directory + "/js" }

    /// Starts a server and waits until it answers.
    init(_ lines: [String] = [], name: String = "n", hasJetStream: Bool = true, starts: Bool = true) throws {
        process = try ServerProcess()
        self.name = name
        self.lines = Mutex(lines)
        self.hasJetStream = hasJetStream
        if starts { try start() }
    }

    /// The port for the other servers of a cluster.
    var routePort: Int { port + 1 }

    func configure(_ lines: [String]) { self.lines.withLock { $0 = lines } }

    /// Has a running server read its configuration again.
    func reload(_ lines: [String]) throws {
        configure(lines)
        try writeConfiguration()
        process.signal(SIGHUP)
    }

    private func writeConfiguration() throws {
        let jetStream = hasJetStream ? ["jetstream { store_dir: \"\(store)\" }"] : []
        let text =
            ["host: 127.0.0.1", "port: \(port)", "server_name: \(name)", "log_file: \"\(directory)/log\""] + jetStream
            + lines.withLock(\.self)
        let file = try #require(fopen(directory + "/nats.conf", "w"))
        fputs(text.joined(separator: "\n") + "\n", file)
        fclose(file)
    }

    func start() throws {
        try writeConfiguration()
        try process.start(["nats-server", "-c", directory + "/nats.conf"]) { isListening }
    }

    /// Whether the server takes connections and greets.
    private var isListening: Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let result = sockaddr_in.withLoopback(port) { connect(descriptor, $0, $1) }
        guard result == 0 else { return false }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var bytes = [UInt8](repeating: 0, count: 4)
        return read(descriptor, &bytes, 4) == 4
    }

    func kill() { process.end(by: SIGKILL) }

    /// Ends the server in an orderly way, so that its files are whole.
    func terminate() { process.end(by: SIGTERM) }

    func pause() { process.signal(SIGSTOP) }
    func resume() { process.signal(SIGCONT) }

    /// Copies what the server has stored, or takes it back to that. The server must not run.
    func saveStore() { shell("rm -rf '\(directory)/saved'; cp -a '\(store)' '\(directory)/saved'") }
    func restoreStore() { shell("rm -rf '\(store)'; cp -a '\(directory)/saved' '\(store)'") }
    func removeStore() { shell("rm -rf '\(store)'") }

    /// Ends the server and removes what it wrote.
    func end() { process.end() }
}
