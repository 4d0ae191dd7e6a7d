import Glibc
import NIOCore
import Testing

@testable import RedisBroker

/// A Redis server that a test has for itself, on loopback and on a Unix socket.
final class RedisServer: Sendable {
    var port: Int { process.port }
    var directory: String { process.directory }
    /// Where it accepts TLS; nil if it doesn't.
    let tlsPort: Int?
    private let program: RedisProgram
    private let arguments: [String]
    private let isSentinel: Bool
    private let process: ServerProcess

    var socket: String { directory + "/redis.sock" }

    /// Starts a server and waits until it answers.
    init(
        _ arguments: [String] = [], program: RedisProgram = .standard, tls certificate: TestCertificate? = nil
    ) throws {
        process = try ServerProcess()
        let port = process.port
        tlsPort = certificate.map { _ in port + 1 }
        self.program = program
        self.arguments =
            (certificate?.settings(port: port + 1) ?? []).flatMap { ["--" + $0.name, $0.value] } + arguments
        isSentinel = false
        try start()
    }

    /// Starts a Sentinel that looks after the master "mymaster", of which two Sentinels have to say that it is down.
    /// The Sentinels know the servers by this `host`.
    init(
        sentinelOf master: RedisServer, host: String = "127.0.0.1", _ lines: [String] = [],
        program: RedisProgram = .standard, tls certificate: TestCertificate? = nil
    ) throws {
        process = try ServerProcess()
        let (port, directory) = (process.port, process.directory)
        tlsPort = certificate.map { _ in port + 1 }
        self.program = program
        isSentinel = true
        let text =
            [
                "port \(port)", "bind 127.0.0.1", "dir \(directory)", "logfile \(directory)/log",
            ] + (certificate?.settings(port: port + 1) ?? []).map { "\($0.name) \($0.value)" }
            + (host == "127.0.0.1" ? [] : ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"])
            + [
                "sentinel monitor mymaster \(host) \(master.tlsPort ?? master.port) 2",
                "sentinel failover-timeout mymaster 5000",
            ] + lines
        arguments = [directory + "/sentinel.conf", "--sentinel"]
        let file = try #require(fopen(arguments[0], "w"))
        fputs(text.joined(separator: "\n") + "\n", file)
        fclose(file)
        try start()
    }

    deinit { if access(directory, F_OK) == 0 { end() } }

    func start(_ more: [String] = []) throws {
        let words =
            try program.words()
            + (isSentinel
                ? arguments
                : [
                    "--port", "\(port)", "--bind", "127.0.0.1", "::1", "--unixsocket", socket, "--dir", directory,
                    "--save", "", "--daemonize", "no", "--logfile", directory + "/log",
                ] + arguments + more)
        try process.start(words) { [port] in
            do {
                try RedisClient(port: port).call("PING")
                return true
            } catch { return (error as? RedisError)?.code == "NOAUTH" }
        }
    }

    func kill() { process.end(by: SIGKILL) }

    func pause() { process.signal(SIGSTOP) }
    func resume() { process.signal(SIGCONT) }

    /// Ends the server and removes what it wrote.
    func end() { process.end() }

    /// Runs a command on a connection of its own. An error is thrown.
    @discardableResult
    func call(_ words: RESPArgument...) throws -> RESPValue { try RedisClient(port: port).call(words) }
}

extension TestCertificate {
    /// What lets a Redis server accept TLS, and use it to other servers.
    func settings(port: Int) -> [(name: String, value: String)] {
        [
            ("tls-port", "\(port)"), ("tls-cert-file", file), ("tls-key-file", keyFile),
            ("tls-ca-cert-file", authority.file), ("tls-auth-clients", "no"), ("tls-replication", "yes"),
        ]
    }
}

/// A connection that blocks, for what a test does to a server.
final class RedisClient {
    private let descriptor: Int32
    private var decoder = RESPDecoder()

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let result = sockaddr_in.withLoopback(port) { [descriptor] in connect(descriptor, $0, $1) }
        var limit = timeval(tv_sec: 240, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard result == 0 else { throw NotSeen("port \(port) does not accept") }
    }

    deinit { close(descriptor) }

    @discardableResult
    func call(_ words: RESPArgument...) throws -> RESPValue { try call(words) }

    func call(_ words: [RESPArgument]) throws -> RESPValue {
        var buffer = ByteBuffer()
        buffer.writeCommand(words)
        let bytes = Array(buffer: buffer)
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw NotSeen("the connection is closed") }
        return try next()
    }

    func next() throws -> RESPValue {
        while true {
            if let value = try decoder.next() {
                if case .error(let error) = value { throw error }
                return value
            }
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = read(descriptor, &bytes, bytes.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw NotSeen("the connection is closed") }
            decoder.append(ByteBuffer(bytes: bytes[..<count]))
        }
    }
}
