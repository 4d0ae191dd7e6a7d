import Foundation
import Synchronization

/// A real rabbitmq-server, with an epmd of its own.
final class RabbitServer: LogServer {
    let type = "rabbitmq"
    private let process: ServerProcess
    private let epmd: ServerProcess
    private let proxy: Proxy
    private let isEpmdStarted = Mutex(false)

    init() async throws {
        process = try ServerProcess()
        epmd = try ServerProcess()
        proxy = try await Proxy(to: process.port)
        for name in ["mnesia", "log", "home"] {
            try FileManager.default.createDirectory(
                atPath: "\(process.directory)/\(name)", withIntermediateDirectories: true)
        }
        let settings = "listeners.tcp.1 = 127.0.0.1:\(process.port)\ndisk_free_limit.absolute = 50MB\n"
        try Data(settings.utf8).write(to: URL(fileURLWithPath: "\(process.directory)/rabbitmq.conf"))
        let advanced = "[{kernel,[{inet_dist_use_interface,{127,0,0,1}}]}].\n"
        try Data(advanced.utf8).write(to: URL(fileURLWithPath: "\(process.directory)/advanced.config"))
        try Data("[].\n".utf8).write(to: URL(fileURLWithPath: "\(process.directory)/enabled_plugins"))
    }

    var port: Int { process.port }
    var options: [(key: String, value: String)] { [("servers", "127.0.0.1:\(proxy.port)"), ("heartbeat", "2")] }

    private var environment: String {
        let directory = process.directory
        return [
            "HOME=\(directory)/home", "RABBITMQ_NODENAME=wsd\(process.port)@localhost",
            "RABBITMQ_CONFIG_FILE=\(directory)/rabbitmq", "RABBITMQ_ADVANCED_CONFIG_FILE=\(directory)/advanced.config",
            "RABBITMQ_CONF_ENV_FILE=\(directory)/no-rabbitmq-env.conf", "RABBITMQ_MNESIA_BASE=\(directory)/mnesia",
            "RABBITMQ_LOG_BASE=\(directory)/log", "RABBITMQ_ENABLED_PLUGINS_FILE=\(directory)/enabled_plugins",
            "RABBITMQ_PID_FILE=\(directory)/pid", "RABBITMQ_DIST_PORT=\(process.port + 1)",
            // Idle schedulers don't spin, and no shell stays between the test and the server.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +sbwtdcpu none +sbwtdio none'",
            "RUNNING_UNDER_SYSTEMD=true", "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=\(epmd.port)",
            "ERL_CRASH_DUMP=/dev/null", "LANG=C.UTF-8",
        ].joined(separator: " ")
    }

    func start() throws {
        let epmdPort = epmd.port
        try isEpmdStarted.withLock { isStarted in
            guard !isStarted else { return }
            isStarted = true
            try epmd.start(["/bin/sh", "-c", "\(environment) exec /usr/bin/epmd"]) { Self.isOpen(epmdPort) }
        }
        let command =
            "\(environment) exec /usr/lib/rabbitmq/bin/rabbitmq-server >>'\(process.directory)/out' 2>&1 </dev/null"
        let port = process.port
        try process.start(["/bin/sh", "-c", command]) { Self.answers(port) }
    }

    private static func isOpen(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return sockaddr_in.withLoopback(port) { connect(descriptor, $0, $1) } == 0
    }

    /// Whether it begins the protocol.
    private static func answers(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        guard sockaddr_in.withLoopback(port, { connect(descriptor, $0, $1) }) == 0 else { return false }
        let question: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]
        guard send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count else {
            return false
        }
        var answer: UInt8 = 0
        return recv(descriptor, &answer, 1, 0) == 1 && answer == 1
    }

    func cut() async throws { try await proxy.mend() }
    func pause() { process.signal(SIGSTOP) }
    func resume() { process.signal(SIGCONT) }

    func restart(keepingData: Bool) throws {
        process.end(by: keepingData ? SIGTERM : SIGKILL)
        if !keepingData { shell("rm -rf '\(process.directory)/mnesia'/*") }
        try start()
    }

    func forget(_ body: @Sendable () async throws -> Void) async throws {
        process.end(by: SIGTERM)
        shell("cp -a '\(process.directory)/mnesia' '\(process.directory)/saved'")
        try start()
        try await body()
        process.end(by: SIGKILL)
        shell("cd '\(process.directory)' && rm -rf mnesia && mv saved mnesia")
        try start()
    }

    func end() async {
        try? await proxy.end()
        kill()
    }

    /// Ends it and what came with it.
    fileprivate func kill() {
        process.end()
        epmd.end()
    }
}

/// A RabbitMQ server that lives as long as the tests, for those that leave it as it was: its start takes seconds.
final class SharedRabbitServer: LogServer {
    private static let shared = Mutex<RabbitServer?>(nil)

    private let server: RabbitServer

    init() async throws {
        if let running = Self.shared.withLock(\.self) {
            server = running
            return
        }
        server = try await RabbitServer()
        try server.start()
        Self.shared.withLock { [server] in $0 = server }
        atexit { SharedRabbitServer.shared.withLock(\.self)?.kill() }
    }

    var type: String { server.type }
    var options: [(key: String, value: String)] { server.options }
    var port: Int { server.port }
    func start() {}
    func cut() async throws { try await server.cut() }
    func restart(keepingData: Bool) throws { try server.restart(keepingData: keepingData) }
    func pause() { server.pause() }
    func resume() { server.resume() }
    func end() {}
}
