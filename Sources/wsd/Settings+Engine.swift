import Authentication
import Engine
import Logging
import Settings
import Systemd
import TLSHandshake

extension Settings {
    /// The configuration of the data plane.
    ///
    /// - Parameters:
    ///   - descriptorLimit: the number of files that the process may have open. Connections beyond what it allows are
    ///     refused properly instead of failing in accept(2).
    ///   - exemptsLoopback: whether the limit per address leaves loopback alone.
    ///   - verifier: checks tokens; nil if no tokens are needed.
    ///   - tls: what handshakes of TLS go by; nil without certificates.
    ///   - tlsPort: the port for clients that begin with TLS; nil if there is none.
    func engineConfiguration(
        descriptorLimit: Int, exemptsLoopback: Bool, verifier: TokenVerifier?, tls: TLSContext?, tlsPort: UInt16?
    ) -> EngineConfiguration {
        var engine = EngineConfiguration(self)
        engine.workerCount = workerCount
        engine.maximumConnections = maximumConnections(descriptorLimit: descriptorLimit)
        // Room to raise the limit while the daemon runs: address space only, until connections come.
        engine.connectionCapacity = max(
            engine.maximumConnections,
            min(1_000_000, descriptorLimit - Settings.reservedDescriptors(of: descriptorLimit)))
        engine.exemptsLoopback = exemptsLoopback
        engine.tls = tls
        engine.redirectPort = self.tls.redirectsToHTTPS ? tlsPort : nil
        engine.challenges =
            self.tls.challengeDirectory.isEmpty ? nil : ChallengeDirectory(self.tls.challengeDirectory)
        engine.memoryByteCount = limits.memory.byteCount(of: AvailableMemory.byteCount())
        if let verifier { engine.verifyToken = { await verifier.verify($0) } }
        engine.pages = Pages.make(endpoint: endpoints.first { $0.protocol == .json }?.path)
        return engine
    }

    /// The descriptors that the process needs besides connections: for listeners, control clients, API clients, the
    /// log.
    private static func reservedDescriptors(of limit: Int) -> Int { 32 + min(1_088, limit / 16) }

    /// The number of connections of another process that this one can take over, as it needs descriptors for itself, too:
    /// each worker has up to four.
    func inheritableConnections(descriptorLimit: Int) -> Int {
        let ownCount = max(Settings.reservedDescriptors(of: descriptorLimit), 64 + 4 * workerCount)
        return max(0, descriptorLimit - ownCount)
    }

    private var workerCount: Int {
        min(server.workers > 0 ? server.workers : Hub.usableProcessorCount, Hub.maximumWorkerCount)
    }

    /// Logs a warning if fewer connections are allowed than are configured: by the limit of open files, or by the room for
    /// connections that this process made at its start.
    func warnOfLimit(_ limit: Int, descriptorLimit: Int, _ logger: Logger) {
        guard limit < server.maxConnections else { return }
        guard limit >= maximumConnections(descriptorLimit: descriptorLimit) else {
            logger.warning(
                """
                this process has room for \(limit) connections, not server.max_connections = \(server.maxConnections); \
                restart
                """)
            return
        }
        logger.warning(
            """
            the limit of open files allows \(limit) connections, not server.max_connections = \
            \(server.maxConnections); \(DescriptorLimit.advice), and restart
            """)
    }

    private func maximumConnections(descriptorLimit: Int) -> Int {
        max(1, min(server.maxConnections, descriptorLimit - Settings.reservedDescriptors(of: descriptorLimit)))
    }
}

extension ListeningSocket {
    /// The sockets that systemd passed, or else sockets bound to these addresses.
    static func sockets(
        passed: [PassedSocket], else addresses: [ListenAddress], areSecure: Bool = false
    ) throws(ListenError) -> [ListeningSocket] {
        guard passed.isEmpty else {
            return passed.map { ListeningSocket(passed: $0.descriptor, address: $0.address, isSecure: areSecure) }
        }
        var sockets: [ListeningSocket] = []
        for address in addresses {
            sockets.append(try ListeningSocket(host: address.address, port: address.port, isSecure: areSecure))
        }
        return sockets
    }
}

extension [ListeningSocket] {
    /// The port of the first one for clients that begin with TLS; nil if there is none.
    var tlsPort: UInt16? {
        for listener in self where listener.isSecure && !listener.address.hasPrefix("unix:") {
            if let colon = listener.address.lastIndex(of: ":") {
                return UInt16(listener.address[listener.address.index(after: colon)...])
            }
        }
        return nil
    }
}
