import Configuration
import ControlServer
import Glibc
import Logging
import NIOCore
import Settings
import Systemd
import VarlinkServer

/// The sockets for wsctl(1): those that systemd passed, or else those of the configuration.
struct ControlListeners {
    private var control: [VarlinkListener]
    private var status: [VarlinkListener]

    /// - Parameter missing: explains why systemd passed no socket. A service runs without a socket whose unit is masked
    ///   or has failed, unless the configuration sets the socket's path.
    init(
        passed: PassedSockets, _ missing: MissingSockets, _ loaded: LoadedConfiguration, _ logger: Logger
    ) throws {
        func listeners(_ name: String, path: String, mode: mode_t, key: String) throws -> [VarlinkListener] {
            do {
                return try Self.listeners(passed[name], path: path, mode: mode, key: key)
            } catch {
                guard loaded.origin(of: key) == .builtIn, let reason = missing.explanation(of: name) else {
                    throw error
                }
                logger.notice("no \(name) socket for wsctl: \(reason)")
                return []
            }
        }
        let configuration = loaded.configuration.control
        control = try listeners("control", path: configuration.path, mode: 0o660, key: "control.path")
        status = try listeners("status", path: configuration.statusPath, mode: 0o666, key: "control.status_path")
    }

    private static func listeners(
        _ passed: [PassedSocket], path: String, mode: mode_t, key: String
    ) throws -> [VarlinkListener] {
        guard passed.isEmpty else { return passed.map { VarlinkListener(adopting: $0.descriptor) } }
        guard !path.isEmpty else { return [] }
        do throws(VarlinkListenerError) {
            return [try VarlinkListener(path: path, mode: mode)]
        } catch {
            var failure = StartFailure(message: "\(key): \(error)")
            if case .failed(_, _, let code) = error, code == EACCES || code == EPERM {
                failure.exitCode = EX_NOPERM
                failure.messages[0] += "; choose a place of your own with --control PATH"
            }
            throw failure
        }
    }

    /// Servers for the listeners. The socket that a client opened decides what the client may do.
    func servers(
        _ service: ControlService, group: any EventLoopGroup, log: @escaping @Sendable (VarlinkServer.Event) -> Void
    ) -> [(VarlinkListener, VarlinkServer)] {
        let full = VarlinkServer(service: service.control, group: group, log: log)
        let reading = VarlinkServer(
            service: service.status, group: group, limits: ControlService.statusLimits, log: log)
        return control.map { ($0, full) } + status.map { ($0, reading) }
    }
}
