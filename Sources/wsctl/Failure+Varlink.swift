import Control
import Glibc
import Varlink

extension Failure {
    /// The end of a daemon that was told to stop.
    static let stopped = Failure(
        "the daemon has ended", advice: "Look into its log: journalctl -u wsd", exitCode: EX_UNAVAILABLE)

    /// Explains a failed call to the user.
    init(_ error: VarlinkClientError) {
        switch error {
        case .notReachable(let path, let reason):
            self.init(
                "cannot reach \(path): \(reason)",
                advice: "Is wsd running? Start it with 'systemctl start wsd', or name its socket with --socket PATH.",
                exitCode: EX_UNAVAILABLE, isAbsence: true)
        case .timedOut:
            self.init(
                "\(error)", advice: "Look into its log: journalctl -u wsd", exitCode: EX_UNAVAILABLE)
        case .disconnected:
            self.init(
                "\(error)", advice: "Look into its log: journalctl -u wsd", exitCode: EX_UNAVAILABLE, isAbsence: true)
        case .ended:
            self.init(
                "the daemon has ended", advice: "Look into its log: journalctl -u wsd", exitCode: EX_UNAVAILABLE,
                isAbsence: true)
        case .interrupted:
            self.init(nil)
        case .notPermitted(let path):
            self.init("not permitted to open \(path)", advice: Self.whoMayOpen(path), exitCode: EX_NOPERM)
        case .protocolViolation:
            self.init("\(error)", advice: "Is that wsd, and of the same version as wsctl, \(WSD.version)?")
        case .failed(let error):
            self.init(error)
        }
    }

    /// Explains an error of the service.
    private init(_ error: VarlinkError) {
        func text(_ parameter: String) -> String { error.parameters[parameter].map { "\($0)" } ?? "?" }
        let name = MethodName(error.name)
        switch (name?.interface, name?.member) {
        case ("org.varlink.service", "PermissionDenied"):
            self.init(
                "not permitted on this socket, which has figures only",
                advice: "Use the control socket, \(WSD.controlSocketPath). \(Self.whoMayOpen(WSD.controlSocketPath))",
                exitCode: EX_NOPERM)
        case ("org.varlink.service", "InvalidParameter"):
            self.init("the daemon doesn't accept '\(text("parameter"))'")
        case ("org.varlink.service", "InterfaceNotFound"), ("org.varlink.service", "MethodNotFound"):
            self.init("the daemon doesn't know this command", advice: "Is it older than wsctl, \(WSD.version)?")
        case (_, "NoSuchConnection"):
            guard case .array(let silent)? = error.parameters["silent"] else {
                self.init("no connection \(text("id"))", advice: "See 'wsctl list'.")
                return
            }
            let names = silent.map { "\($0)" }.joined(separator: ", ")
            self.init(
                "no connection \(text("id")) on the nodes that answered; no answer from \(names)",
                advice: "See 'wsctl nodes'.")
        case (_, "QuestionTooLarge"):
            self.init(
                "the message has \(text("bytes")) bytes as other nodes get it, in JSON; it may have \(text("limit"))",
                advice: "Publish it in a channel, or ask each node without --cluster.")
        case (_, "NoBroker"):
            self.init("this node has no broker", advice: "See [broker] in wsd.toml(5).")
        case (_, "NoSuchChannel"):
            self.init("nobody is in '\(text("channel"))', and nothing is kept of it", advice: "See 'wsctl channels'.")
        case (_, "InvalidFilter"):
            self.init("--\(text("field")) \(text("value")): \(text("reason"))", exitCode: EX_USAGE)
        case (_, "MessageTooLarge"):
            self.init("the message has \(text("bytes")) bytes; the hub takes \(text("limit")) (max_message_size)")
        case (_, "ReloadFailed"):
            var lines = ["not reloaded"]
            if case .array(let errors)? = error.parameters["errors"] { lines = errors.map { "\($0)" } }
            self.init(
                lines.joined(separator: "\n"),
                advice: "Nothing was changed.", exitCode: EX_CONFIG)
        case (_, "Unavailable"):
            self.init(text("reason"), advice: "See 'wsctl status', and try again.")
        case (_, "Rejected"):
            self.init(text("reason"), advice: "Send a smaller message.")
        case (_, "ProfileFailed"):
            self.init("no profile: \(text("reason"))")
        case (_, "NoSigningKey"):
            self.init(
                "the daemon has no secret to sign a token with",
                advice: "Set auth.mode = \"jwt\" and auth.hmac_secret_file; see wsd.toml(5).")
        default:
            self.init("\(error)")
        }
    }

    /// The users whom the socket file admits, for a user whom it doesn't.
    private static func whoMayOpen(_ path: String) -> String {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & 0o020 != 0, status.st_gid != 0,
            let group = getgrgid(status.st_gid)
        else {
            return "Only its owner may; try: sudo wsctl …"
        }
        let name = String(cString: group.pointee.gr_name)
        let user = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "NAME"
        return "This needs membership in \(name): sudo adduser \(user) \(name), then log in again; or try: sudo wsctl …"
    }
}
