import ArgumentParser
import Control
import Glibc

/// The administrator's tool: every command is one file beside this one.
@main
struct WSCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wsctl",
        abstract: "Inspect and control a running wsd.",
        usage: "wsctl <command> [<options>]",
        discussion: """
            The daemon's socket is --socket PATH, else $WSD_SOCKET, else \(WSD.controlSocketPath). \
            'wsctl status' also works with \(WSD.statusSocketPath), which every user may open.

            EXAMPLES
              wsctl status                      show the state of the hub
              wsctl list --channel lobby        list the connections in the lobby
              wsctl kick --ip 203.0.113.0/24    close all connections from a network
              wsctl list --json | jq .id        list connections for a program

            See wsctl(1).
            """ + ExitStatus.help,
        version: "wsctl \(WSD.version)",
        subcommands: [
            StatusCommand.self, NodesCommand.self, ListCommand.self, ShowCommand.self, KickCommand.self,
            BroadcastCommand.self,
            PublishCommand.self, SubscribeCommand.self, ChannelsCommand.self, PresenceCommand.self, HistoryCommand.self,
            TopCommand.self, MonitorCommand.self, WhyCommand.self, ConfigCommand.self, LimitsCommand.self,
            LogLevelCommand.self,
            ReloadCommand.self, RestartCommand.self, DrainCommand.self, ProfileCommand.self, TokenCommand.self,
        ]
    )

    /// Runs a command line and exits with its code. It replaces ArgumentParser's own `main` for two reasons: our exit
    /// codes and messages, and a reader that has had enough (`wsctl list | head`), which is not a failure.
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            if let answer = try ShellCompletion.answer(arguments) {
                try Output.standard.write(Array(answer.utf8))
                return
            }
            var command = try parseAsRoot(optionsBehindCommand(arguments))
            try command.run()
            try Output.standard.flush()
        } catch let failure as Failure {
            // Output written before the failure is valid; if standard output is broken as well, one message is enough.
            try? Output.standard.flush()
            failure.report()
            Glibc.exit(failure.exitCode)
        } catch is Output.ReaderGone {
            Glibc.exit(0)
        } catch {
            exit(withError: error)
        }
    }

    /// Allows `wsctl --socket PATH status` for `wsctl status --socket PATH`: moves the options that every command has
    /// behind the command, where ArgumentParser expects them.
    static func optionsBehindCommand(_ arguments: [String]) -> [String] {
        var front: [String] = []
        var rest = arguments[...]
        while let next = rest.first {
            if next == "--socket", rest.count > 1 {
                front += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if next.hasPrefix("--socket=") || ["--json", "--no-legend", "--quiet", "-q"].contains(next) {
                front.append(next)
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        guard let command = rest.first, !command.hasPrefix("-") else { return arguments }
        return [command] + front + rest.dropFirst()
    }
}
