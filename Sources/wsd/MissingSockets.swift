import Engine
import Glibc
import Systemd

/// Explains why systemd passed no socket of a name, so that the daemon had to listen for itself.
///
/// The service's unit doesn't allow the daemon to open sockets of its own. The error that follows, such as "Address
/// family not supported", leads nobody to the unit of the socket, whose log alone has the cause.
struct MissingSockets {
    private let passed: Set<String>
    private let isNotified: Bool

    init(_ passed: PassedSockets, notifier: Notifier) {
        self.passed = Set(passed.names)
        isNotified = notifier.isPresent
    }

    /// Says that the service manager passed no socket of this name, and where to find the cause; nil if it passed one,
    /// or if none was to be expected.
    ///
    /// - Parameters:
    ///   - name: as in `FileDescriptorName=` of the unit.
    ///   - errno: the error when the daemon tried to listen for itself.
    func explanation(of name: String, errno: Int32 = 0) -> String? {
        // Other sockets were passed, or the unit is that of a service to which sockets are passed.
        guard !passed.contains(name), !passed.isEmpty || isNotified && errno == EAFNOSUPPORT else { return nil }
        let unit = name == "wsd" ? "wsd.socket" : "wsd-\(name).socket"
        let holder = name == "wsd" || name == "api" ? ", and \"ss -ltnp\" for another program that has its port" : ""
        return """
            \(unit) does not listen, so systemd has passed no socket named "\(name)": see "systemctl status \(unit)"\(holder)
            """
    }

    /// The explanation, if there is one, followed by the error when the daemon tried to listen for itself.
    func explanation(of name: String, _ error: ListenError) -> String {
        let own = error.description
        return explanation(of: name, errno: error.errno).map { "\($0); and the daemon itself \(own)" } ?? own
    }
}
