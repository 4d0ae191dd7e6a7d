import API
import Authentication
import Broker
import Configuration
import Control
import ControlServer
import Engine
import Glibc
import Logging
import NIOCore
import NIOPosix
import Operations
import Settings
import Systemd
import TLSChannel
import TLSHandshake
import UnixSignals
import Varlink
import VarlinkServer

/// The whole daemon: listeners, hub, control sockets and service manager, from the start to the end of the drain.
struct Daemon {
    private let loaded: LoadedConfiguration
    private let destination: LogDestination
    private let loader: ConfigurationLoader
    private var configuration: Settings { loaded.configuration }

    /// - Parameter loader: reads the same configuration again on a reload.
    init(_ loaded: LoadedConfiguration, destination: LogDestination, loader: ConfigurationLoader) {
        self.loaded = loaded
        self.loader = loader
        self.destination = destination
    }

    /// Serves until the daemon is told to end, then drains.
    func run() async throws {
        let threshold = LogThreshold(Logger.Level(configuration.log.level))
        LoggingSystem.bootstrap { [destination] _ in destination.handler(threshold: threshold) }
        let logger = Logger(label: "wsd")
        signal(SIGPIPE, SIG_IGN)
        // A profile in progress handles SIGPROF itself; a late signal must not end the process.
        signal(SIGPROF, SIG_IGN)
        wipeFreedMemory()

        // Before anyone is told that the daemon is ready, because whoever is told may send a signal.
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup, .sigusr2)
        await RuntimeTimers.create()
        let passed = try takePassedSockets(logger)
        // Before anybody can connect to a listener of our own.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let tokens = try await tokens(group, logger)
        let apiKeys = KeyRing(try apiKeys())
        let notifier = Notifier(logger: logger)
        let missing = MissingSockets(passed, notifier: notifier)
        let tls = CurrentTLS(try tlsContext(passed))
        let listeners =
            try listen("wsd", passed, missing, else: configuration.server.listen)
            + listen("wsd-tls", passed, missing, else: configuration.server.listenTLS, areSecure: true)
        guard !listeners.isEmpty else { throw noListeners(missing) }
        let controlListeners = try ControlListeners(passed: passed, missing, loaded, logger)
        let apiListeners = try APIListeners(
            passed, missing, configuration: configuration.api,
            isDefault: loaded.origin(of: "api.listen") == .builtIn, logger: logger)
        let descriptorLimit = Hub.raiseDescriptorLimit()
        let broker = try nodeBroker(listeners.map(\.address), logger)
        let interval = configuration.restart.snapshotInterval
        let keepsSnapshots = Snapshots.areKept(every: interval, hasBroker: broker != nil, notifier)
        // A start that fails once the connections are taken over cuts all of them.
        try checkConsumers()
        let inheritance = Inheritance(
            passed.stored, keepsSnapshots: keepsSnapshots,
            room: configuration.inheritableConnections(descriptorLimit: descriptorLimit))
        let (hub, refused) = inheritance.adopt {
            startHub(descriptorLimit, logger, tokens.verifier, broker, tls.context, listeners.tlsPort, $0)
        }
        broker?.start(hub)
        let lifecycle = Lifecycle(timeout: configuration.drain.timeout)
        let feed = EventFeed(hub: hub)
        let access = AccessLog(
            logger: Logger(label: "wsd") { [destination] _ in destination.handler(threshold: LogThreshold(.info)) }
        ) { hub.lostEvents }
        access.setMode(configuration.log.access)
        feed.setLogsEverything(configuration.log.wantsEverything)
        let reloader = Reloader(
            loaded,
            Reloader.Parts(
                hub: hub, tokens: tokens, apiKeys: apiKeys, threshold: threshold, feed: feed, access: access,
                lifecycle: lifecycle, broker: broker, descriptorLimit: descriptorLimit, passed: PassedKeys(passed),
                tls: tls, listeners: ListenerFacts(listeners, apiListeners)),
            logger: logger, loader: loader)
        var backend = HubBackend(
            hub: hub, lifecycle: lifecycle, reloader: reloader, feed: feed, notifier: notifier,
            tokens: tokens, broker: broker,
            facts: HubBackend.Facts(
                startedAt: Clock.milliseconds(),
                listeners: listeners.map(\.address)
            ),
            logger: logger,
            audit: Logger(label: "wsd") { [destination] _ in destination.handler(threshold: LogThreshold(.notice)) }
        )
        backend.cluster = broker?.cluster(of: backend, logger)
        let consumers = try consumers(backend, broker, group, logger)
        backend.consumers = consumers
        let events = Task {
            var log = EventLog(logger: logger)
            await log.follow(hub.events, feed: feed, access: access)
        }
        let parkingHasFailed = try await withThrowingTaskGroup(of: Void.self) { tasks in
            try await serveControl(controlListeners, backend, group, logger, in: &tasks)
            let router = router(backend, apiKeys)
            apiListeners.serve(router, tls, group: group, logger: logger, in: &tasks)
            await hub.listen(listeners)
            for listener in listeners {
                logger.notice("listening on \(listener.address)\(listener.isSecure ? " with TLS" : "")")
            }
            for notice in await reloader.notices { logger.notice("\(notice)") }
            let report = StatusReport(backend: backend, notifier: notifier)
            let left = await inheritance.finish(hub, notifier, logger)
            await notifier.ready(status: report.text())
            consumers.start()
            tasks.addTask { [farewell = Inheritance.farewell(configuration.drain)] in
                await refused.close(over: farewell)
            }
            tasks.addTask { await report.run() }
            tasks.addTask { await notifier.removeStored(names: left, every: .seconds(30)) }
            if keepsSnapshots {
                let snapshots = Snapshots(
                    hub: hub, notifier: notifier, logger: logger, interval: interval, left: inheritance.snapshotName)
                tasks.addTask { await snapshots.run() }
            }
            tasks.addTask { await ProxyHint(hub: hub, reloader: reloader, logger: logger).run() }
            if let watchdog = Watchdog(notifier: notifier) {
                tasks.addTask { await watchdog.run(logger: logger) { hub.haveAllWorkersTurned() } }
            }
            tasks.addTask { await follow(signals, hub, lifecycle, reloader, report, notifier, logger) }
            await drainWhenTold(hub, lifecycle, reloader, feed, notifier, logger)
            let parking =
                await lifecycle.isParking
                ? Parking(
                    hub: hub, notifier: notifier, consumers: consumers, logger: logger, hasBroker: broker != nil) : nil
            parking?.announce()
            tasks.cancelAll()
            let begun = parking?.begin()
            while let result = await tasks.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { logger.error("\(error)") }
            }
            await begun?.callsHaveEnded()
            // The next process would take this end for a crash.
            if keepsSnapshots, parking == nil { await notifier.removeStored(names: Snapshots.names) }
            await consumers.stop()
            await broker?.stop(within: .seconds(2))
            await hub.stop()
            await events.value
            try await group.shutdownGracefully()
            return parking != nil
        }
        logger.notice("stopped")
        // The connections are closed, and yet the next process has to be started.
        if parkingHasFailed { exit(Parking.exitStatus) }
    }

    private func takePassedSockets(_ logger: Logger) throws -> PassedSockets {
        do throws(PassedSocketError) {
            let passed = try PassedSockets.take(
                expecting: [
                    "wsd": .any, "wsd-tls": .any, "api": .any, "api-tls": .any, "control": .unix, "status": .unix,
                ], storing: Inheritance.names.union(Snapshots.names))
            for warning in passed.warnings { logger.warning("\(warning)") }
            for key in PassedKeys(passed).unused(in: loaded) {
                let name = PassedKeys.name(for: key)
                logger.warning("\(key) is not used, for systemd passes sockets named \"\(name)\"; see wsd(8), Sockets")
            }
            return passed
        } catch {
            throw StartFailure(message: error.description, exitCode: EX_CONFIG)
        }
    }

    /// The listeners for WebSocket clients: those that systemd passed by a name, or else those of the configuration.
    ///
    /// - Parameter areSecure: whether their clients begin with TLS.
    private func listen(
        _ name: String, _ passed: PassedSockets, _ missing: MissingSockets, else addresses: [ListenAddress],
        areSecure: Bool = false
    ) throws -> [ListeningSocket] {
        do throws(ListenError) {
            return try ListeningSocket.sockets(passed: passed[name], else: addresses, areSecure: areSecure)
        } catch {
            throw StartFailure(
                message: missing.explanation(of: name, error),
                exitCode: error.errno == EACCES ? EX_NOPERM : EXIT_FAILURE)
        }
    }

    /// The reason why a hub can't start that nobody could connect to.
    private func noListeners(_ missing: MissingSockets) -> StartFailure {
        let wayOut =
            missing.explanation(of: "wsd-tls")
            ?? "set server.listen_tls, or let systemd pass a socket named \"wsd-tls\""
        return StartFailure(
            message: "server.listen: it is empty, and there is no listener for TLS, so nobody could connect: \(wayOut)",
            exitCode: EX_CONFIG)
    }

    /// The certificates with their keys.
    private func tlsContext(_ passed: PassedSockets) throws -> TLSContext? {
        let context: TLSContext?
        do throws(KeyErrors) {
            context = try configuration.tls.context(TicketKeys(), takesAnyDates: true)
            configuration.tls.applyCoreDumps()
        } catch {
            throw StartFailure(error, in: loaded)
        }
        if context == nil, let name = ["wsd-tls", "api-tls"].first(where: { !passed[$0].isEmpty }) {
            let reason = "systemd passes a socket named \"\(name)\", and there is no certificate to show"
            throw StartFailure(message: "tls.certificates: \(reason)", exitCode: EX_CONFIG)
        }
        return context
    }

    /// The tokens with their keys.
    private func tokens(_ group: any EventLoopGroup, _ logger: Logger) async throws -> Tokens {
        let tokens = Tokens { sources, policy throws(KeyErrors) in
            try await Authenticator(sources, policy, group: group, logger: logger)
        }
        do throws(KeyErrors) {
            try await tokens.load(configuration.auth)
        } catch {
            throw StartFailure(error, in: loaded)
        }
        return tokens
    }

    /// The broker that the configuration names.
    private func nodeBroker(_ addresses: [String], _ logger: Logger) throws -> NodeBroker? {
        do throws(KeyErrors) {
            return try NodeBroker.make(
                configuration.broker, channels: configuration.channels, addresses: addresses, logger: logger)
        } catch {
            throw StartFailure(error, in: loaded)
        }
    }

    /// Checks the files of the sources outside.
    private func checkConsumers() throws {
        do throws(KeyErrors) {
            for consume in configuration.consumers { try consume.check(loadsPlugin: true) }
        } catch {
            throw StartFailure(error, in: loaded)
        }
    }

    /// The sources outside that the configuration names.
    private func consumers(
        _ backend: HubBackend, _ broker: NodeBroker?, _ group: any EventLoopGroup, _ logger: Logger
    ) throws -> Consumers {
        let around = Consumers.Surroundings(
            nodeName: broker?.name ?? configuration.broker.nodeNameOrHost,
            messageByteCount: configuration.websocket.maxMessageByteCount
        ) { await backend.publish($0, by: $1) }
        do throws(KeyErrors) {
            return try Consumers(configuration, around, on: group, logger: logger)
        } catch {
            throw StartFailure(error, in: loaded)
        }
    }

    private func apiKeys() throws -> APIKeys {
        do throws(KeyErrors) { return try configuration.api.keys() } catch { throw StartFailure(error, in: loaded) }
    }

    private func router(_ backend: HubBackend, _ keys: KeyRing) -> Router {
        let observation = Observation(
            hub: backend.hub, lifecycle: backend.lifecycle, reloader: backend.reloader, tokens: backend.tokens,
            broker: backend.broker, consumers: backend.consumers,
            startedAt: backend.facts.startedAt)
        return Router(backend: backend, cluster: backend.cluster, keys: keys, observer: observation)
    }

    private func startHub(
        _ descriptorLimit: Int, _ logger: Logger, _ verifier: TokenVerifier?, _ broker: NodeBroker?,
        _ tls: TLSContext?, _ tlsPort: UInt16?, _ parked: ParkedState?
    ) -> Hub {
        var engine = configuration.engineConfiguration(
            descriptorLimit: descriptorLimit, exemptsLoopback: loaded.exemptsLoopback, verifier: verifier, tls: tls,
            tlsPort: tlsPort)
        engine.broker = broker?.broker
        engine.node = broker?.node
        configuration.warnOfLimit(engine.maximumConnections, descriptorLimit: descriptorLimit, logger)
        return Hub(engine, adopting: parked)
    }

    private func serveControl(
        _ listeners: ControlListeners, _ backend: HubBackend, _ group: MultiThreadedEventLoopGroup, _ logger: Logger,
        in tasks: inout ThrowingTaskGroup<Void, any Error>
    ) async throws {
        let servers = listeners.servers(ControlService(backend: backend, cluster: backend.cluster), group: group) {
            $0.log(to: logger)
        }
        for (listener, server) in servers {
            let (ready, signal) = AsyncStream.makeStream(of: Void.self)
            tasks.addTask {
                defer { signal.finish() }
                try await server.run(on: listener) { signal.finish() }
            }
            for await _ in ready {}
        }
    }

    private func follow(
        _ signals: UnixSignalsSequence, _ hub: Hub, _ lifecycle: Lifecycle, _ reloader: Reloader,
        _ report: StatusReport, _ notifier: Notifier, _ logger: Logger
    ) async {
        for await signal in signals {
            if signal == .sighup {
                logger.notice("SIGHUP, reloading")
                _ = try? await reloader.reload(report)  // it has said in the log what is wrong
                continue
            }
            if signal == .sigusr2 {
                if let obstacle = Parking.obstacle(notifier) {
                    logger.notice("connections can't be kept over a restart: \(obstacle)")
                } else {
                    logger.notice("\(signal), parking \(hub.connectionCount) connections")
                    await lifecycle.park()
                    continue
                }
            }
            // The process ends in any case.
            guard await !lifecycle.isParking else { continue }
            logger.notice("\(signal), draining")
            await lifecycle.terminate(connections: hub.connectionCount)
        }
    }

    /// Waits for the order to end, and carries it out.
    private func drainWhenTold(
        _ hub: Hub, _ lifecycle: Lifecycle, _ reloader: Reloader, _ feed: EventFeed, _ notifier: Notifier,
        _ logger: Logger
    ) async {
        let (done, finished) = AsyncStream.makeStream(of: Void.self)
        await withDiscardingTaskGroup { tasks in
            tasks.addTask {
                for await order in lifecycle.stream {
                    switch order {
                    case .drain(let reason):
                        let count = hub.connectionCount
                        notifier.stopping(status: "draining \(count) connections")
                        let drain = await reloader.drain
                        let text = "draining \(count) connections over \(drain.period)"
                        logger.notice("\(text)")
                        feed.send(Event(draining: text))
                        Task {
                            await hub.drain(period: drain.period, timeout: drain.timeout, reason: reason)
                            finished.finish()
                        }
                    case .hurry:
                        logger.notice("hurrying: closing what is left at once")
                        Task {
                            await hub.drain(period: .zero, timeout: .seconds(1), reason: "the server is shutting down")
                        }
                    case .abandon:
                        logger.notice("going at once")
                        finished.finish()
                    case .park:
                        finished.finish()
                    }
                }
            }
            for await _ in done {}
            tasks.cancelAll()
        }
    }
}

extension Logger.Level {
    init(_ level: Settings.LogLevel) {
        self = Logger.Level(rawValue: level.rawValue) ?? .info
    }
}

extension VarlinkServer.Event {
    fileprivate func log(to logger: Logger) {
        switch self {
        case .refused(let peer):
            logger.warning("control connection refused: too many", metadata: ["peer-uid": "\(peer.userID)"])
        case .malformed(let peer, let reason):
            logger.debug("control connection closed: \(reason)", metadata: ["peer-uid": "\(peer.userID)"])
        case .failed(let peer, let method, let reason):
            logger.error("\(method) failed: \(reason)", metadata: ["peer-uid": "\(peer.userID)"])
        }
    }
}
