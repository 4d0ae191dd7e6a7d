import API
import Authentication
import Configuration
import Engine
import Glibc
import Logging
import NIOCore
import Settings
import Systemd

/// The listeners of the HTTP API and its keys.
struct APIListeners {
    private let sockets: [ListeningSocket]

    /// Takes the sockets that systemd passed, or else opens those of the configuration.
    ///
    /// - Parameter isDefault: whether the addresses are the default ones, in which case the daemon can run without
    ///   them.
    init(
        passed: [PassedSocket], _ missing: MissingSockets, configuration: Settings.API, isDefault: Bool,
        logger: Logger
    ) throws {
        configuration.warnOfOpenKeyFiles(logger)
        do throws(ListenError) {
            sockets = try ListeningSocket.sockets(passed: passed, else: configuration.listen)
        } catch {
            guard !isDefault else {
                let reason = missing.explanation(of: "api", error)
                logger.warning("no HTTP API: \(reason); see api.listen")
                sockets = []
                return
            }
            throw StartFailure(
                message: missing.explanation(of: "api", error)
                    + "; the HTTP API listens at api.listen, and [] is nowhere",
                exitCode: error.errno == EACCES ? EX_NOPERM : EXIT_FAILURE)
        }
    }

    func serve(
        _ router: Router, group: any EventLoopGroup, logger: Logger,
        in tasks: inout ThrowingTaskGroup<Void, any Error>
    ) {
        let server = APIServer(
            router.reporting { logger.notice("\($0)") }, group: group, report: { logger.warning("\($0)") })
        for socket in sockets {
            logger.notice("HTTP API on \(socket.address)")
            tasks.addTask {
                try await server.run(adopting: socket.descriptor)
                if !Task.isCancelled { logger.error("the HTTP API on \(socket.address) has ended") }
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
