import Engine
import Glibc
import Systemd

/// What to say of sockets that a service manager should have passed and has not, so that the daemon had to listen for
/// itself.
///
/// The unit of the service lets it open no socket of its own. What comes of that, such as "Address family not supported",
/// leads nobody to the unit of the socket, whose log alone says what is wrong.
struct MissingSockets {
    private let passed: Set<String>
    private let isNotified: Bool

    init(_ passed: PassedSockets, notifier: Notifier) {
        self.passed = Set(passed.names)
        isNotified = notifier.isPresent
    }

    /// That the service manager has passed no such socket, and where its reason stands; nil where it has, and where nobody
    /// could expect it to.
    ///
    /// - Parameters:
    ///   - name: as in `FileDescriptorName=` of the unit.
    ///   - errno: why the daemon could not listen for itself.
    func explanation(of name: String, errno: Int32 = 0) -> String? {
        // Other sockets were passed, or the unit is for a daemon that is passed them.
        guard !passed.contains(name), !passed.isEmpty || isNotified && errno == EAFNOSUPPORT else { return nil }
        let unit = name == "wsd" ? "wsd.socket" : "wsd-\(name).socket"
        let holder = name == "wsd" || name == "api" ? ", and \"ss -ltnp\" for another program that has its port" : ""
        return """
            \(unit) does not listen, so systemd has passed no socket named "\(name)": see "systemctl status \(unit)"\(holder)
            """
    }

    /// The explanation, if there is one, and then why the daemon could not listen for itself.
    func explanation(of name: String, _ error: ListenError) -> String {
        let own = error.description
        return explanation(of: name, errno: error.errno).map { "\($0); and the daemon itself \(own)" } ?? own
    }
}
