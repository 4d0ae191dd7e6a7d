import API
import Authentication
import Configuration
import Engine
import Glibc
import Logging
import NIOCore
import Systemd

/// The HTTP API put together: its sockets and its keys.
struct APIListeners {
    private let sockets: [ListeningSocket]

    /// What systemd passes, else what the configuration names.
    ///
    /// - Parameter isDefault: whether nobody has named the addresses: then the daemon can do without them.
    init(passed: [PassedSocket], configuration: Configuration.API, isDefault: Bool, logger: Logger) throws {
        do throws(ListenError) {
            sockets = try ListeningSocket.sockets(passed: passed, else: configuration.listen)
        } catch {
            guard !isDefault else {
                logger.warning("no HTTP API: \(error.description); see api.listen")
                sockets = []
                return
            }
            throw StartFailure(
                message: "\(error.description); the HTTP API listens at api.listen, and [] is nowhere",
                exitCode: error.errno == EACCES ? EX_NOPERM : EXIT_FAILURE)
        }
    }

    func serve(
        _ router: Router, group: any EventLoopGroup, logger: Logger,
        in tasks: inout ThrowingTaskGroup<Void, any Error>
    ) {
        let server = APIServer(router, group: group)
        for socket in sockets {
            logger.notice("HTTP API on \(socket.address)")
            tasks.addTask { try await server.run(adopting: socket.descriptor) }
        }
    }
}

extension Configuration.API {
    /// The keys, each file with one or more, one a line.
    func keys() throws(KeyErrors) -> APIKeys {
        var keys = APIKeys()
        var errors: [KeyError] = []
        let files: [(String, KeyFile?, Scope)] = [
            ("api.publish_key_file", publishKeyFile, .publish), ("api.read_key_file", readKeyFile, .read),
            ("api.admin_key_file", adminKeyFile, .admin),
        ]
        for case (let key, let file?, let scope) in files {
            let name = "\(key) = \"\(file)\""
            do throws(KeyError) {
                let lines = try KeyFileReader.contents(of: file.path, shownAs: name)
                    .split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") })
                if let short = lines.first(where: { $0.count < 16 }) {
                    throw KeyError(
                        "\(name): a key of \(short.count) bytes; make one of 16 or more with \"openssl rand -hex 32\"")
                }
                for line in lines { keys.add(Array(line), scope) }
            } catch { errors.append(error) }
        }
        guard errors.isEmpty else { throw KeyErrors(errors: errors) }
        return keys
    }
}
