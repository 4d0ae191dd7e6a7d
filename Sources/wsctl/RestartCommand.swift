import ArgumentParser
import Control
import Glibc
import Terminal

/// `wsctl restart`: restarts the service without closing its connections, and says what has become of them.
struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Restart the service, and keep its connections.",
        discussion: """
            Calls 'systemctl restart', by which the daemon hands its connections and channels to the next process, waits \
            for that, and says what has become of them. Nothing is restarted if the configuration on disk has errors, or \
            if the connections can't be kept, unless --force is given. With --dry-run nothing is restarted: it says what \
            would be kept, and what not and why.

            EXAMPLES
              wsctl restart --dry-run
              wsctl restart && wsctl status
            """ + ExitStatus.help)

    @Flag(help: "Say what would be kept, and restart nothing.")
    var dryRun = false

    @Flag(help: "Restart even if connections can't be kept or the configuration has errors; all may be closed then.")
    var force = false

    @Option(help: ArgumentHelp("The unit of the daemon.", valueName: "unit"))
    var unit = "wsd.service"

    @OptionGroup var options: GlobalOptions

    func run() throws {
        try options.tellingFailuresInJSON { try dryRun ? tellPlan() : restart() }
    }

    private func tellPlan() throws {
        let plan = try plan()
        if options.json { return try Output.standard.write(line: JSONLine.bytes(plan)) }
        if let obstacle = plan.obstacle {
            try Output.standard.write(line: "nothing can be kept: \(TerminalText.escape(obstacle))")
        }
        let kept = HumanText.plural(plan.kept, "connection")
        try Output.standard.write(line: "kept: \(kept), \(HumanText.plural(plan.handshakes, "handshake"))")
        for (reason, count) in plan.closed.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            try Output.standard.write(line: "closed: \(count), \(TerminalText.escape(reason))")
        }
        for error in plan.errors ?? [] {
            try Output.standard.write(line: "it would not start: \(TerminalText.escape(error))")
        }
    }

    private func plan() throws -> PlanRestart.Reply {
        try DaemonClient.forActing(options).call(PlanRestart.name, returning: PlanRestart.Reply.self)
    }

    private func restart() throws {
        let plan = try plan()
        let before = try status()
        if let errors = plan.errors, !errors.isEmpty, !force {
            throw Failure(
                errors.joined(separator: "\n"),
                advice: "Nothing was restarted. The running daemon, version \(before.version), found these errors. "
                    + "If the installed version accepts the configuration, use --force.",
                exitCode: EX_CONFIG)
        }
        if let obstacle = plan.obstacle, !force {
            throw Failure(
                "nothing was restarted, for the connections can't be kept: \(obstacle)",
                advice: "With --force it is restarted all the same, and all connections are closed.")
        }
        guard access("/run/systemd/system", F_OK) == 0 else {
            throw Failure(
                "systemd does not run here, and it alone keeps connections from one process to the next",
                advice: "A service manager with a store for descriptors sends SIGUSR2; see wsd(8), Restarting.")
        }
        try Self.systemctl("restart", unit)
        let clock = ContinuousClock()
        let end = clock.now + .seconds(60)
        var now = try status()
        while now.pid == before.pid || now.state != .running {
            guard clock.now < end else { throw Failure("\(unit) was restarted, but the same process answers") }
            usleep(50_000)
            now = try status()
        }
        if let problem = now.lastRestart?.problem {
            throw Failure("\(unit) was restarted, but the connections were closed: \(TerminalText.escape(problem))")
        }
        let arrived = now.lastRestart.map { $0.adopted + $0.handshakes } ?? 0
        guard arrived > 0 || plan.kept + plan.handshakes == 0 || now.lastRestart?.closed == 0 else {
            throw Failure(
                "\(unit) was restarted, but its connections were not handed over",
                advice: "Look into its log: journalctl --unit=\(unit)")
        }
        if options.json { return try Output.standard.write(line: JSONLine.bytes(now)) }
        guard !options.quiet else { return }
        let report = now.lastRestart.map(StatusText.restart) ?? "nothing was handed over"
        try Output.standard.write(line: "process \(now.pid): \(TerminalText.escape(report))")
    }

    private func status() throws -> HubStatus {
        try DaemonClient.forActing(options).call(GetStatus.name, returning: GetStatus.Reply.self).status
    }

    /// The variables that systemctl(1) and those who ask for a password go by.
    private static let environmentNames = ["PATH", "HOME", "LANG", "LC_ALL", "TERM", "NO_COLOR", "SYSTEMD_COLORS"]

    /// Runs systemctl(1), which writes its own complaints.
    private static func systemctl(_ arguments: String...) throws {
        let words = ["systemctl"] + arguments
        var pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var environment = Self.environmentNames.compactMap { name in
            getenv(name).map { strdup("\(name)=\(String(cString: $0))") }
        }
        environment.append(nil)
        defer { for pointer in environment { free(pointer) } }
        var process = pid_t()
        let error = posix_spawnp(&process, "systemctl", nil, nil, &pointers, &environment)
        guard error == 0 else { throw Failure("systemctl: \(String(cString: strerror(error)))") }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            throw Failure(
                "\(words.joined(separator: " ")) failed", advice: "See: journalctl --unit=\(arguments.last ?? "")")
        }
    }
}
