import CLinux
import Glibc
import Systemd

/// What is done for clients who wait at the sockets of a daemon that can't start, because its configuration or its command
/// line is wrong.
///
/// Whoever waits has the service manager start the daemon again as soon as it has ended, and after some tries of that
/// systemd closes the sockets for good (systemd.unit(5), `StartLimitBurst=`; systemd.socket(5), `TriggerLimitBurst=`).
/// So those who come are answered: WebSocket clients and those of the API with 503 and `Retry-After` (RFC 9110, sections
/// 15.6.4 and 10.2.3), `wsctl` with the end of its connection. When the configuration is mended, the next one who comes
/// starts the daemon, and there is nothing to repair.
struct TurnAway {
    /// Longer than systemd's limits let a start take: five in ten seconds, and twenty in two.
    static let duration = Duration.seconds(3)

    private static let response = """
        HTTP/1.1 503 Service Unavailable\r\n\
        Retry-After: 5\r\n\
        Content-Type: text/plain\r\n\
        Content-Length: 42\r\n\
        Connection: close\r\n\
        \r\n\
        The service is not available; come later.\n
        """

    /// Those who were answered stay open until the end, so that the answer arrives though they go on sending; not more
    /// than these, for there are other descriptors.
    private static let keptLimit = 500

    private let listeners: [(name: String, descriptor: Int32)]
    private var answered: [Int32] = []

    /// Remembers what was passed to this process. To be made before `PassedSockets.take`, after which nobody knows.
    init() {
        listeners = PassedSockets.inherited()
    }

    /// Answers everybody who waits at a passed socket or comes within `duration`; returns at once if none was passed.
    ///
    /// Signals end the process as they do by default.
    mutating func run() {
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGTERM, SIGINT, SIGHUP] { signal(number, SIG_DFL) }
        let listeners = listeners.filter { PassedSocket.isListening($0.descriptor) }
        guard !listeners.isEmpty else { return }
        for (_, descriptor) in listeners {
            let flags = fcntl(descriptor, F_GETFL)
            guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 else { return }
        }
        var polled = listeners.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        let clock = ContinuousClock()
        let end = clock.now + Self.duration
        while true {
            let left = Int32((end - clock.now) / .milliseconds(1))
            guard left > 0 else { break }
            guard poll(&polled, nfds_t(polled.count), left) > 0 else { continue }
            for index in polled.indices where polled[index].revents != 0 {
                acceptAll(listeners[index])
            }
        }
        for client in answered { close(client) }
    }

    private mutating func acceptAll(_ listener: (name: String, descriptor: Int32)) {
        var peer = sockaddr_storage()
        while true {
            let client = clinux_accept(listener.descriptor, &peer)
            guard client >= 0 else {
                // Without descriptors those who came first make room.
                guard errno == EMFILE || errno == ENFILE, !answered.isEmpty else { return }
                forgetAll()
                continue
            }
            guard listener.name != "control", listener.name != "status" else {
                close(client)
                continue
            }
            answer(client)
        }
    }

    private mutating func answer(_ client: Int32) {
        // What is not read when a socket is closed has its peer told of a reset, maybe before the answer.
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 1) { buffer in
            _ = recv(client, buffer.baseAddress, buffer.count, 0)
        }
        _ = clinux_send(client, Self.response, Self.response.utf8.count)
        shutdown(client, Int32(SHUT_WR))
        if answered.count == Self.keptLimit { forgetAll() }
        answered.append(client)
    }

    private mutating func forgetAll() {
        for client in answered { close(client) }
        answered.removeAll(keepingCapacity: true)
    }
}
