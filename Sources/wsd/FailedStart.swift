import CLinux
import Engine
import Glibc
import Systemd

/// Answers the clients that wait at the sockets of a daemon that can't start, mostly because its configuration is
/// invalid.
///
/// A waiting client makes the service manager start the daemon again as soon as it has ended, and after several such
/// starts systemd closes the sockets for good (systemd.unit(5), `StartLimitBurst=`; systemd.socket(5),
/// `TriggerLimitBurst=`). Therefore the clients are answered: WebSocket and API clients with 503 and `Retry-After` (RFC
/// 9110, sections 15.6.4 and 10.2.3), `wsctl` with the end of its connection. Once the cause is fixed, the next client
/// starts the daemon, and nothing has to be repaired.
struct FailedStart {
    /// The duration of a start that fails, longer than systemd's limits: five starts in ten seconds, and twenty in two.
    static let duration = Duration.seconds(3)

    private static let reason = "the server was restarted and did not start again"
    private static let text = response("text/plain", "The service is not available; come later.\n")
    private static let problem = response(
        "application/problem+json",
        #"{"detail":"the hub can't start; its log says why","status":503,"title":"Service Unavailable"}"#)

    private static func response(_ type: String, _ body: String) -> String {
        """
        HTTP/1.1 503 Service Unavailable\r\n\
        Retry-After: 5\r\n\
        Content-Type: \(type)\r\n\
        Content-Length: \(body.utf8.count)\r\n\
        Connection: close\r\n\
        \r\n\
        \(body)
        """
    }

    /// The maximum number of answered connections that stay open until the end. They stay open so that the answer
    /// arrives even if the client goes on sending; the number is limited to leave descriptors for others.
    private static let keptLimit = 500

    /// The maximum number of clients accepted at one listener before the next listener has its turn and the time is
    /// checked.
    private static let burst = 100

    /// The pause after which the next connections of the process before are closed, in milliseconds.
    private static let closingPause: Int32 = 20

    private let passed: [(name: String, descriptor: Int32)]
    private var answered: [Int32] = []

    /// Remembers the sockets that were passed to this process. Has to run before `PassedSockets.take`, which forgets
    /// them.
    init() {
        passed = PassedSockets.inherited()
    }

    /// Answers every client that waits at a passed socket or connects within `duration`; returns at once if no socket
    /// was passed.
    ///
    /// Signals end the process as they do by default.
    mutating func run() {
        signal(SIGPIPE, SIG_IGN)
        // Closed one after the other, for their clients come back.
        let abandoned = Inheritance.abandoned(passed, Self.reason)
        var closedCount = 0
        for number in [SIGTERM, SIGINT, SIGHUP, SIGUSR2] { signal(number, SIG_DFL) }
        let listeners = passed.compactMap { try? PassedSocket(name: $0.name, descriptor: $0.descriptor, family: .any) }
        guard !listeners.isEmpty else {
            for socket in abandoned { socket.close() }
            return
        }
        var polled = listeners.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        let clock = ContinuousClock()
        let end = clock.now + Self.duration
        while true {
            let left = Int32((end - clock.now) / .milliseconds(1))
            guard left > 0 else { break }
            let due = Int(Double(abandoned.count) * (1 - (end - clock.now) / Self.duration))
            for socket in abandoned[closedCount..<max(due, closedCount)] { socket.close() }
            closedCount = max(due, closedCount)
            let pause = closedCount < abandoned.count ? min(left, Self.closingPause) : left
            guard poll(&polled, nfds_t(polled.count), pause) > 0 else { continue }
            for index in polled.indices where polled[index].revents != 0 {
                accept(listeners[index])
            }
        }
        for socket in abandoned[closedCount...] { socket.close() }
        forgetAll()
    }

    /// The exit status of a start that fails with `code`. After wrong usage and a wrong configuration the service manager
    /// does not start the daemon again, and drops what the process before has left (`RestartPreventExitStatus=`). If that
    /// has left histories, they are to be there once the mistake is mended.
    func exitCode(for code: Int32) -> Int32 {
        guard [EX_USAGE, EX_CONFIG].contains(code) else { return code }
        let names = Inheritance.names.union(Snapshots.names)
        return passed.contains { names.contains($0.name) } ? EXIT_FAILURE : code
    }

    private mutating func accept(_ listener: PassedSocket) {
        var peer = sockaddr_storage()
        for _ in 0..<Self.burst {
            let client = clinux_accept(listener.descriptor, &peer)
            guard client >= 0 else {
                guard errno != EAGAIN else { return }
                // If descriptors are scarce, the connections answered so far make room; any other error may pass.
                forgetAll()
                usleep(10_000)
                return
            }
            switch listener.name {
            case "control", "status", "wsd-tls", "api-tls": close(client)
            case "api": answer(client, Self.problem)
            default: answer(client, Self.text)
            }
        }
    }

    private mutating func answer(_ client: Int32, _ response: String) {
        // Closing a socket with unread data resets the connection, perhaps before the peer has the answer.
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
            _ = recv(client, buffer.baseAddress, buffer.count, 0)
        }
        _ = clinux_send(client, response, response.utf8.count)
        shutdown(client, Int32(SHUT_WR))
        if answered.count == Self.keptLimit { forgetAll() }
        answered.append(client)
    }

    private mutating func forgetAll() {
        for client in answered { close(client) }
        answered.removeAll(keepingCapacity: true)
    }
}
