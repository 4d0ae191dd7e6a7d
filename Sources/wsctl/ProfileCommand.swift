import ArgumentParser
import Control
import FoundationEssentials
import Terminal

extension Profile.Kind: ExpressibleByArgument {}

/// `wsctl profile cpu|stacks|heap`: shows where the daemon's time and memory go.
struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile",
        abstract: "Show where the daemon's time and memory go.",
        discussion: """
            cpu writes a profile for pprof to standard output, stacks prints the current stack of each thread, and \
            heap prints the use of memory. A CPU profile takes 100 samples per second of CPU time while it runs, and \
            costs nothing otherwise. Without the daemon's debug symbols, functions are shown as addresses.

            EXAMPLES
              wsctl profile cpu --seconds 30 > wsd.pprof && pprof -top wsd.pprof
              wsctl profile stacks
            """ + ExitStatus.help)

    @Argument(help: "The kind of profile: cpu, stacks or heap.")
    var kind: Profile.Kind

    @Option(help: "The duration of a CPU profile.")
    var seconds: Int?

    @OptionGroup var options: GlobalOptions

    func validate() throws {
        guard let seconds else { return }
        guard kind == .cpu else { throw ValidationError("--seconds is for cpu") }
        guard (1...Profile.longestSeconds).contains(seconds) else {
            throw ValidationError("--seconds \(seconds): take 1 to \(Profile.longestSeconds)")
        }
    }

    func run() throws {
        let output = Output.standard
        if kind == .cpu, !options.json, output.isTerminal {
            throw Failure(
                "a CPU profile is binary", advice: "Redirect it to a file: wsctl profile cpu > wsd.pprof")
        }
        let start = WallClock.monotonicMilliseconds
        try DaemonClient.forActing(options).callMore(
            Profile.name, Profile.Parameters(kind: kind, seconds: seconds), returning: Profile.Reply.self,
            maySleep: true
        ) { reply in
            if options.json { return try output.write(line: JSONLine.bytes(reply)) }
            for line in reply.text?.split(separator: "\n", omittingEmptySubsequences: false).dropLast() ?? [] {
                try output.write(line: TerminalText.escape(line))
            }
            if let data = reply.data.flatMap({ Data(base64Encoded: $0) }) { try output.write(Array(data)) }
        }
        try checkLength(milliseconds: WallClock.monotonicMilliseconds - start)
    }

    /// Fails if the profile is shorter than requested, because the daemon ended and sent what it had.
    private func checkLength(milliseconds: Int64) throws(Failure) {
        let wanted = seconds ?? Profile.defaultSeconds
        // The daemon's clock and ours may differ slightly.
        guard kind == .cpu, milliseconds < Int64(wanted) * 1000 - 250 else { return }
        let time = "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s of \(wanted) s"
        throw Failure("the profile was cut short: \(time)", advice: "The daemon has ended meanwhile.")
    }
}
