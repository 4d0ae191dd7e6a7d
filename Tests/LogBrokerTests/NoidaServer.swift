import Foundation

/// A program that speaks Kafka's protocol and keeps its data in a directory; as nobody, as its authors are unknown.
final class NoidaServer: LogServer {
    let type = "kafka"
    private let process: ServerProcess

    init() throws { process = try ServerProcess() }

    var options: [(key: String, value: String)] { [("servers", "127.0.0.1:\(process.port)")] }

    private static let program: String = {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let found = FileManager.default.enumerator(atPath: "/\(root)/.build-venv/lib")?
            .first { ($0 as? String)?.hasSuffix("noida_db/noida-db") == true }
        return "/\(root)/.build-venv/lib/\(found as? String ?? "noida-db is not installed")"
    }()

    func start() throws {
        let directory = process.directory
        shell("chown nobody: '\(directory)'")
        let command =
            "cd '\(directory)' && HOME='\(directory)' TMPDIR='\(directory)' exec setpriv --reuid nobody --regid nogroup --clear-groups "
            + "'\(Self.program)' start --only kafka --kafka-port \(process.port) >>'\(directory)/log' 2>&1"
        let port = process.port
        try process.start(["/bin/sh", "-c", command]) { Self.answers(port) }
    }

    private static func answers(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return sockaddr_in.withLoopback(port) { connect(descriptor, $0, $1) } == 0
    }

    func cut() throws { throw NotSeen("noida has no connections to be cut alone") }

    /// Ends it and starts it. It finds what it kept only by degrees, so that nothing goes on from there at once.
    func restart(keepingData: Bool) throws {
        process.end(by: SIGKILL)
        if !keepingData { shell("rm -rf '\(process.directory)/.noida-db'") }
        try start()
    }

    func pause() { process.signal(SIGSTOP) }
    func resume() { process.signal(SIGCONT) }
    func end() { process.end() }
}
