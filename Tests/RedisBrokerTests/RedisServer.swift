import Glibc
import NIOCore
import Synchronization
import Testing

@testable import RedisBroker

/// A Redis server that a test has for itself, on loopback and on a Unix socket.
final class RedisServer: Sendable {
    let port: Int
    let directory: String
    private let arguments: [String]
    private let isSentinel: Bool
    private let process = Mutex<pid_t>(0)
    /// Below the ports that connections get, and so are those of a cluster, which are 10,000 above. The next one is left for TLS.
    private static let lastPort = Mutex(Int.random(in: 12_000..<22_000))

    var socket: String { directory + "/redis.sock" }

    /// Starts a server and waits until it answers.
    init(_ arguments: [String] = []) throws {
        var template = Array("/tmp/wsd-redis-XXXXXX".utf8CString)
        directory = String(cString: mkdtemp(&template))
        self.arguments = arguments
        isSentinel = false
        port = try Self.freePort()
        try start()
    }

    /// Starts a Sentinel that looks after the master "mymaster", of which two Sentinels have to say that it is down.
    init(sentinelOf master: RedisServer, _ lines: [String] = []) throws {
        var template = Array("/tmp/wsd-redis-XXXXXX".utf8CString)
        directory = String(cString: mkdtemp(&template))
        isSentinel = true
        port = try Self.freePort()
        let text =
            [
                "port \(port)", "bind 127.0.0.1", "dir \(directory)", "logfile \(directory)/log",
                "sentinel monitor mymaster 127.0.0.1 \(master.port) 2",
                "sentinel failover-timeout mymaster 5000",
            ] + lines
        arguments = [directory + "/sentinel.conf", "--sentinel"]
        let file = try #require(fopen(arguments[0], "w"))
        fputs(text.joined(separator: "\n") + "\n", file)
        fclose(file)
        try start()
    }

    func start(_ more: [String] = []) throws {
        let words =
            isSentinel
            ? ["redis-server"] + arguments
            : [
                "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "::1", "--unixsocket", socket, "--dir",
                directory, "--save", "", "--daemonize", "no", "--logfile", directory + "/log",
            ] + arguments + more
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        guard posix_spawnp(&pid, "redis-server", nil, nil, &pointers, environ) == 0 else {
            throw NotSeen("redis-server can't be started")
        }
        process.withLock { $0 = pid }
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            do {
                try RedisClient(port: port).call("PING")
                return
            } catch let error as RedisError where error.code == "NOAUTH" {
                return
            } catch {
                usleep(5_000)
            }
        }
        kill()
        throw NotSeen("redis-server on port \(port) does not answer, see \(directory)/log")
    }

    func kill() {
        process.withLock { process in
            guard process > 0 else { return }
            _ = Glibc.kill(process, SIGKILL)
            waitpid(process, nil, 0)
            process = 0
        }
    }

    func pause() { process.withLock { _ = Glibc.kill($0, SIGSTOP) } }
    func resume() { process.withLock { _ = Glibc.kill($0, SIGCONT) } }

    /// Ends the server and removes what it wrote.
    func end() {
        kill()
        for file in ["log", "redis.sock", "dump.rdb", "users.acl"] { unlink(directory + "/" + file) }
        _ = system("rm -r '\(directory)'")
    }

    /// Runs a command on a connection of its own. An error is thrown.
    @discardableResult
    func call(_ words: RESPArgument...) throws -> RESPValue { try RedisClient(port: port).call(words) }

    private static func freePort() throws -> Int {
        for _ in 0..<1_000 {
            let port = lastPort.withLock { port in
                port = port >= 22_000 ? 12_000 : port + 2
                return port
            }
            let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in(port: port)
            let isFree = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isFree { return port }
        }
        throw NotSeen("no port is free")
    }
}

extension sockaddr_in {
    /// A port on the loopback interface.
    init(port: Int) {
        self.init()
        sin_family = sa_family_t(AF_INET)
        sin_port = in_port_t(port).bigEndian
        sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    }
}

/// A connection that blocks, for what a test does to a server.
final class RedisClient {
    private let descriptor: Int32
    private var decoder = RESPDecoder()

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in(port: port)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        var limit = timeval(tv_sec: 20, tv_usec: 0)
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
            guard count > 0 else { throw NotSeen("the connection is closed") }
            decoder.append(ByteBuffer(bytes: bytes[..<count]))
        }
    }
}
