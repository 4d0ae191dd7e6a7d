import Glibc
import Synchronization

/// A server program that a test has for itself, with a directory and two ports of its own on loopback.
final class ServerProcess: Sendable {
    /// The one after it is free, too.
    let port: Int
    let directory: String
    private let pid = Mutex<pid_t>(0)
    /// Below the ports that connections get, and so are those of a Redis Cluster, which are 10,000 above.
    private static let lastPort = Mutex(Int.random(in: 12_000..<22_000))

    init() throws {
        directory = try Self.newDirectory()
        port = try Self.freePort()
    }

    static func newDirectory() throws -> String {
        var template = Array("/tmp/wsd-test-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw NotSeen("there can be no directory in /tmp") }
        return String(cString: path)
    }

    /// Starts the program, and waits until it answers; RabbitMQ takes seconds of a machine's time for that.
    func start(_ words: [String], answers: () -> Bool) throws {
        let started = try spawn(words)
        pid.withLock { $0 = started }
        let deadline = ContinuousClock.now + patience * 3
        while ContinuousClock.now < deadline {
            if answers() { return }
            var status: Int32 = 0
            if waitpid(started, &status, WNOHANG) == started {
                pid.withLock { $0 = 0 }
                throw NotSeen("\(words[0]) on port \(port) ended with status \(status): \(lastWords)")
            }
            usleep(5_000)
        }
        end(by: SIGKILL)
        throw NotSeen("\(words[0]) on port \(port) does not answer: \(lastWords)")
    }

    /// The last 1,000 bytes of its log.
    private var lastWords: String {
        // RabbitMQ has a directory of that name.
        let names = ["log", "out"].map { "\(directory)/\($0)" }
        var status = stat()
        let isFile = { (name: String) in stat(name, &status) == 0 && status.st_mode & S_IFMT == S_IFREG }
        guard let file = fopen(names.first(where: isFile) ?? "", "r") else { return "it has no log" }
        defer { fclose(file) }
        fseek(file, -1_000, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: 1_000)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Ends the program by a signal.
    func end(by signal: Int32) {
        pid.withLock { pid in
            guard pid > 0 else { return }
            _ = kill(pid, signal)
            waitpid(pid, nil, 0)
            pid = 0
        }
    }

    func signal(_ number: Int32) { pid.withLock { _ = kill($0, number) } }

    /// Ends the program and removes what it wrote.
    func end() {
        end(by: SIGKILL)
        shell("rm -rf '\(directory)'")
    }

    private static func freePort() throws -> Int {
        for _ in 0..<1_000 {
            let port = lastPort.withLock { port in
                port = port >= 22_000 ? 12_000 : port + 2
                return port
            }
            if isFree(port), isFree(port + 1) { return port }
        }
        throw NotSeen("no port is free")
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return sockaddr_in.withLoopback(port) { bind(descriptor, $0, $1) } == 0
    }
}

/// Starts a program. Of what this process has it gets the first three descriptors alone: it would keep connections of
/// other tests open that these have closed.
private func spawn(_ words: [String]) throws -> pid_t {
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    // The threads of tests block signals, and what they start would.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    _ = addCloseFrom(&actions, 3)
    var started: pid_t = 0
    guard posix_spawnp(&started, words[0], &actions, &attributes, &pointers, environ) == 0 else {
        throw NotSeen("\(words[0]) can't be started: is it installed?")
    }
    return started
}

/// posix_spawn_file_actions_addclosefrom_np(3), which Glibc's module does not have.
private let addCloseFrom = unsafeBitCast(
    dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"),
    to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)

/// Runs a shell's script to its end, and returns its status.
@discardableResult
func shell(_ script: String) -> Int32 {
    guard let started = try? spawn(["/bin/sh", "-c", script]) else { return -1 }
    var status: Int32 = 0
    while waitpid(started, &status, 0) < 0 && errno == EINTR {}
    return status
}

extension sockaddr_in {
    /// Passes the address of a port on the loopback interface.
    static func withLoopback<Result>(_ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// A certificate authority of a test.
final class TestAuthority: Sendable {
    private let directory: String
    var file: String { directory + "/ca.pem" }

    init() throws {
        directory = try ServerProcess.newDirectory()
        try run("openssl req -x509 \(Self.newKey) -days 2 -keyout ca.key -out ca.pem -subj /CN=ca")
    }

    deinit { shell("rm -r '\(directory)'") }

    /// Makes a certificate for names as in `subjectAltName`, such as `DNS:localhost`.
    func certificate(_ file: String, for names: String) throws -> TestCertificate {
        try run(
            """
            openssl req \(Self.newKey) -keyout \(file).key -out \(file).csr -subj /CN=\(file) &&
            echo 'subjectAltName=\(names)' > \(file).ext &&
            openssl x509 -req -in \(file).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile \(file).ext \
            -out \(file).pem
            """)
        return TestCertificate(
            authority: self, file: "\(directory)/\(file).pem", keyFile: "\(directory)/\(file).key")
    }

    private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

    private func run(_ script: String) throws {
        guard shell("cd '\(directory)' && { \(script)\n} >> log 2>&1") == 0 else {
            throw NotSeen("a certificate can't be made, see \(directory)/log")
        }
    }
}

/// A certificate and its key, as files.
struct TestCertificate {
    let authority: TestAuthority
    let file: String
    let keyFile: String
}
