import Base
import CLinux
import Engine
import Glibc
import Operations
import WebSocket

/// A hub with its sockets, from its start to the checks at its end.
final class HubUnderTest {
    let hub: Hub
    let errands = Errands()
    private let listeners: [ListeningSocket]
    private let port: UInt16
    private let unixAddress: (sockaddr_storage, socklen_t)
    /// The last change of the configuration; the next waits for it.
    private var lastChange: Task<Void, Never>?
    /// Whether it has been told to let nobody in any more.
    private(set) var isDraining = false
    private var followers: [Task<Void, Never>] = []

    init(_ configuration: EngineConfiguration, sendBufferByteCount: Int32) {
        let hub = Hub(configuration)
        self.hub = hub
        hub.reportsEverything = true
        guard let tcp = try? ListeningSocket(host: IPAddress("127.0.0.1")!, port: 0) else { fatalError("no port") }
        _ = clinux_set_option(tcp.descriptor, SOL_SOCKET, SO_SNDBUF, sendBufferByteCount)
        port = UInt16(tcp.address.split(separator: ":").last!)!
        let unix = clinux_stream_socket(AF_UNIX)
        var address = sockaddr_storage()
        address.ss_family = sa_family_t(AF_UNIX)
        // Without a path the kernel finds an abstract name (unix(7), autobind).
        let isBound = clinux_bind(unix, &address, socklen_t(MemoryLayout<sa_family_t>.size)) == 0
        require(isBound && Glibc.listen(unix, 128) == 0, "no Unix socket: \(errno)")
        _ = clinux_local_address(unix, &address)
        // The name of an autobound socket: a zero and five digits.
        unixAddress = (address, socklen_t(MemoryLayout<sa_family_t>.size + 6))
        let listeners = [tcp, ListeningSocket(passed: unix, address: "unix")]
        self.listeners = listeners
        blocking("listen") { await hub.listen(listeners) }
    }

    /// A socket that is connected, or is about to be; negative where nobody listens.
    func connect(isUnix: Bool, receiveBufferByteCount: Int32) -> Int32 {
        let socket = clinux_stream_socket(isUnix ? AF_UNIX : AF_INET)
        guard socket >= 0 else { return -1 }
        if receiveBufferByteCount > 0 {
            _ = clinux_set_option(socket, SOL_SOCKET, SO_RCVBUF, receiveBufferByteCount)
        }
        var address = unixAddress.0
        var size = unixAddress.1
        if !isUnix {
            var loopback = sockaddr_in()
            loopback.sin_family = sa_family_t(AF_INET)
            loopback.sin_port = port.bigEndian
            loopback.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            withUnsafeMutableBytes(of: &address) { $0.storeBytes(of: loopback, as: sockaddr_in.self) }
            size = socklen_t(MemoryLayout<sockaddr_in>.size)
        }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(socket, $0, size) }
        }
        guard result == 0 || errno == EINPROGRESS else {
            Glibc.close(socket)
            return -1
        }
        return socket
    }

    // MARK: Commands

    /// Has something done, and waits for it where asked to.
    func command(_ what: String, waits: Bool, _ body: @escaping @Sendable (Hub) async -> Void) {
        let hub = hub
        if waits {
            blocking(what) { await body(hub) }
        } else {
            errands.start { await body(hub) }
        }
    }

    /// One change at a time, as the engine wants it.
    func reconfigure(_ configuration: EngineConfiguration, waits: Bool) {
        let hub = hub
        let last = lastChange
        let change = errands.start {
            await last?.value
            await hub.reconfigure(configuration)
        }
        lastChange = change
        if waits { blocking("reconfigure") { await change.value } }
    }

    func drain(period: Duration, timeout: Duration) {
        let hub = hub
        isDraining = true
        errands.start { await hub.drain(period: period, timeout: timeout, reason: "going away") }
    }

    func follow(_ channel: String) {
        let hub = hub
        followers.append(
            errands.start {
                try? await hub.follow(channel) { message, _ in
                    guard let message, message.opcode == .text else { return }
                    require(String(validating: message.payload, as: UTF8.self) != nil, "no UTF-8 is followed")
                }
            })
    }

    /// Waits until every command has come to its end.
    func finishCommands() {
        for follower in followers { follower.cancel() }
        followers = []
        eventually("all commands end") { errands.areDone }
    }

    // MARK: Checks

    /// Every worker still turns.
    func checkThatWorkersTurn() {
        _ = hub.haveAllWorkersTurned()
        eventually("every worker turns") { hub.haveAllWorkersTurned() }
    }

    /// With nobody there, nothing is counted as there, and nothing is kept of any channel once nothing is to be kept.
    func checkThatNothingIsLeft(_ forgetful: EngineConfiguration) {
        eventually("nobody is counted as connected: \(hub.connectionCount)") { hub.connectionCount == 0 }
        reconfigure(forgetful, waits: true)
        var left = ""
        let start = ContinuousClock.now
        repeat {
            left = whatIsLeft()
            if left.isEmpty { return }
            usleep(1_000)
        } while ContinuousClock.now - start < deadline
        require(false, "is left behind: \(left)")
    }

    private func whatIsLeft() -> String {
        let hub = hub
        let (total, channels) = blocking("statistics") {
            (Statistics(total: await hub.statistics()), await hub.channelCounts(limit: 1_000).channels)
        }
        guard !total.isStale else { return "what a worker does" }
        let figures = [
            ("connections", total.connections), ("subscriptions", total.subscriptions),
            ("queuedBytes", total.queuedBytes), ("queuedMessages", total.queuedMessages),
            ("slowConsumers", total.slowConsumers), ("channels", total.channels),
            ("historyBytes", total.historyBytes), ("memory.input", total.memory.input),
            ("memory.mailboxes", total.memory.mailboxes), ("memory.backlogs", total.memory.backlogs),
            ("memory.history", total.memory.history), ("memory.other", total.memory.other),
            ("memory.used", total.memory.used),
            ("connectionsByEndpoint", total.connectionsByEndpoint.values.reduce(0) { $0 + abs($1) }),
        ]
        let left = figures.filter { $0.1 != 0 }.map { "\($0.0) \($0.1)" }
        return (left + channels.map { "\($0.connections) in \($0.name)" }).joined(separator: ", ")
    }

    /// Ends the workers and gives the sockets back.
    func stop() {
        finishCommands()
        let hub = hub
        blocking("stop") { await hub.stop() }
        for listener in listeners where !listener.isOwn || !isDraining { Glibc.close(listener.descriptor) }
    }
}

/// Waits until something is so.
func eventually(_ what: @autoclosure () -> String, _ isSo: () -> Bool) {
    let start = ContinuousClock.now
    while !isSo() {
        require(ContinuousClock.now - start < deadline, "never: \(what())")
        usleep(200)
    }
}
