import CSystemd
import Glibc

/// The listening sockets that the service manager passed, by name: sd_listen_fds_with_names(3).
package struct PassedSockets: Sendable {
    /// A warning for each passed descriptor that can't be used, for the log. Those descriptors are closed.
    package let warnings: [String]
    /// The descriptors that an earlier process of this service has left in the service manager's store, in no particular
    /// order. Whoever takes them owns them.
    package var stored: [(name: String, descriptor: Int32)] = []
    private let byName: [String: [PassedSocket]]

    /// The sockets with this name, in the order of the socket unit; empty if none was passed.
    package subscript(name: String) -> [PassedSocket] {
        byName[name] ?? []
    }

    /// The names of all passed sockets, sorted.
    package var names: [String] {
        byName.keys.sorted()
    }

    /// Takes the sockets that were passed to this process, and removes `$LISTEN_FDS` and the related variables so that
    /// no child takes them again. Call it once, early, before other threads run: it changes the environment.
    ///
    /// - Parameters:
    ///   - expected: the names that the daemon uses. Other descriptors are closed with a warning.
    ///   - storedNames: the names of descriptors that an earlier process may have left.
    /// - Throws: `PassedSocketError` for a descriptor of the wrong kind under one of those names: serving without it
    ///   would leave a port that answers nobody.
    package static func take(
        expecting expected: [String: PassedSocket.Family], storing storedNames: Set<String> = []
    ) throws(PassedSocketError) -> PassedSockets {
        let (count, passed) = inherited(unsetting: true)
        var sockets = try sort(passed.filter { !storedNames.contains($0.name) }, expecting: expected)
        let stored = passed.filter { storedNames.contains($0.name) }
        for (_, descriptor) in stored { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        sockets.stored = stored
        if count < 0 {
            let reason = String(cString: strerror(-count))
            let warning = "sockets passed by the service manager are ignored: $LISTEN_FDS or its like: \(reason)"
            sockets = PassedSockets(warnings: sockets.warnings + [warning], stored: stored, byName: sockets.byName)
        }
        return sockets
    }

    /// The names and descriptors that were passed to this process, unchecked; they are left in the environment for
    /// `take`.
    package static func inherited() -> [(name: String, descriptor: Int32)] {
        inherited(unsetting: false).passed
    }

    /// The passed descriptors; `count` is negative, an error number, if the environment is invalid.
    private static func inherited(unsetting: Bool) -> (count: Int32, passed: [(name: String, descriptor: Int32)]) {
        var list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(unsetting ? 1 : 0, &list)
        var passed: [(name: String, descriptor: Int32)] = []
        for index in 0..<max(0, Int(count)) {
            let name = list?[index].map { String(cString: $0) } ?? "unknown"
            passed.append((name, SD_LISTEN_FDS_START + Int32(index)))
            free(list?[index])
        }
        free(list)
        return (count, passed)
    }

    /// The part of `take` that needs no environment.
    static func sort(
        _ passed: [(name: String, descriptor: Int32)], expecting expected: [String: PassedSocket.Family]
    ) throws(PassedSocketError) -> PassedSockets {
        var warnings: [String] = []
        var byName: [String: [PassedSocket]] = [:]
        for (name, descriptor) in passed {
            if let family = expected[name] {
                let socket = try PassedSocket(name: name, descriptor: descriptor, family: family)
                byName[name, default: []].append(socket)
            } else {
                close(descriptor)
                let names = expected.keys.sorted().joined(separator: ", ")
                warnings.append(
                    "socket \"\(LogText.escaped(name))\" (descriptor \(descriptor)) passed by the service manager is"
                        + " ignored: set FileDescriptorName= in its socket unit to one of \(names)"
                )
            }
        }
        return PassedSockets(warnings: warnings, byName: byName)
    }
}
