import API
import Authentication
import Configuration
import Engine
import Glibc
import Logging
import NIOCore
import NIOPosix
import Settings
import Systemd
import TLSChannel

/// The listeners of the HTTP API and its keys.
struct APIListeners {
    private let sockets: [ListeningSocket]

    /// Takes the sockets that systemd passed, or else opens those of the configuration.
    ///
    /// - Parameter isDefault: whether the addresses are the default ones, in which case the daemon can run without
    ///   them.
    init(
        _ passed: PassedSockets, _ missing: MissingSockets, configuration: Settings.API, isDefault: Bool,
        logger: Logger
    ) throws {
        configuration.warnOfOpenKeyFiles(logger)
        func listen(_ name: String, _ key: String, _ addresses: [ListenAddress], isSecure: Bool, isDefault: Bool) throws
            -> [ListeningSocket]
        {
            do throws(ListenError) {
                return try ListeningSocket.sockets(passed: passed[name], else: addresses, areSecure: isSecure)
            } catch {
                let reason = missing.explanation(of: name, error)
                guard !isDefault else {
                    logger.warning("no HTTP API: \(reason); see \(key)")
                    return []
                }
                throw StartFailure(
                    message: "\(reason); the HTTP API listens at \(key), and [] is nowhere",
                    exitCode: error.errno == EACCES ? EX_NOPERM : EXIT_FAILURE)
            }
        }
        sockets =
            try listen("api", "api.listen", configuration.listen, isSecure: false, isDefault: isDefault)
            + listen("api-tls", "api.listen_tls", configuration.listenTLS, isSecure: true, isDefault: false)
    }

    /// Whether clients can begin with TLS.
    var haveTLS: Bool { sockets.contains(where: \.isSecure) }

    /// - Parameter group: the event loops of what is without TLS. A listener with TLS has one of its own, so that handshakes keep
    ///   nothing else waiting.
    func serve(
        _ router: Router, _ tls: CurrentTLS, group: any EventLoopGroup, logger: Logger,
        in tasks: inout ThrowingTaskGroup<Void, any Error>
    ) {
        let router = router.reporting { logger.notice("\($0)") }
        for socket in sockets {
            logger.notice("HTTP API on \(socket.address)\(socket.isSecure ? " with TLS" : "")")
            let channels = TLSChannels(tls) { logger.notice("TLS at the HTTP API on \(socket.address): \($0)") }
            let secured: (@Sendable () -> any ChannelHandler)? =
                socket.isSecure ? { @Sendable in channels.handler() } : nil
            tasks.addTask {
                let own = socket.isSecure ? MultiThreadedEventLoopGroup(numberOfThreads: 1) : nil
                let server = APIServer(router, group: own ?? group, report: { logger.warning("\($0)") })
                try await server.run(adopting: socket.descriptor, secured: secured)
                if !Task.isCancelled { logger.error("the HTTP API on \(socket.address) has ended") }
                try await own?.shutdownGracefully()
            }
        }
    }
}

extension Settings.API {
    private var keyFiles: [(name: String, path: String, scope: Scope)] {
        let files: [(String, KeyFile?, Scope)] = [
            ("api.publish_key_file", publishKeyFile, .publish), ("api.read_key_file", readKeyFile, .read),
            ("api.admin_key_file", adminKeyFile, .admin),
        ]
        return files.compactMap { key, file, scope in file.map { ("\(key) = \"\($0)\"", $0.path, scope) } }
    }

    /// The keys from the key files, each of which has one or more, one per line.
    func keys() throws(KeyErrors) -> APIKeys {
        var keys = APIKeys()
        var errors: [KeyError] = []
        for file in keyFiles {
            do throws(KeyError) {
                let found = APIKeys.keys(in: try KeyFileReader.contents(of: file.path, shownAs: file.name))
                let wayOut = "make one of 16 bytes or more with \"openssl rand -hex 32\""
                if found.isEmpty { throw KeyError("\(file.name): there is no key in it; \(wayOut)") }
                if let short = found.first(where: { $0.count < 16 }) {
                    throw KeyError("\(file.name): a key of \(short.count) bytes; \(wayOut)")
                }
                for key in found { keys.add(key, file.scope) }
            } catch { errors.append(error) }
        }
        guard errors.isEmpty else { throw KeyErrors(errors: errors) }
        return keys
    }

    /// Logs a warning for each key file that every user can read, because all of them could then use its keys.
    func warnOfOpenKeyFiles(_ logger: Logger) {
        for file in keyFiles where KeyFileReader.isReadableByEverybody(file.path) {
            logger.warning("\(file.name): everybody can read these keys; chmod o= \(file.path)")
        }
    }
}
