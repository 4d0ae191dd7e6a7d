import ArgumentParser
import Control
import Operations

extension Event.Kind: ExpressibleByArgument {}

/// `wsctl monitor`: shows events as they happen.
struct MonitorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "monitor",
        abstract: "Show events as they happen: connects, closes and their reasons, refusals, slow clients.",
        discussion: """
            Prints one event per line. If events come too fast to be shown, standard error says how many were left \
            out. When the daemon is restarted, or crashes, the command goes on with the next process. It ends with \
            Control-C, or when the daemon stops or stays away, then with exit status 69.

            EXAMPLES
              wsctl monitor
              wsctl monitor --kind close --kind refuse --ip 203.0.113.0/24
              wsctl monitor --json | jq 'select(.cause == "slow_consumer")'
            """ + ExitStatus.help)

    @Option(help: "Show only events of this kind; may be repeated.")
    var kind: [Event.Kind] = []

    @OptionGroup var watch: WatchOptions
    @OptionGroup(title: "Selection") var selection: FilterOptions
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let output = Output.standard
        let filter = selection.filter()
        var lost = 0
        var hasBegun = false
        let daemon = try WatchedDaemon(options, watch)
        let parameters = Monitor.Parameters(
            filter: filter.hasCriteria ? filter : nil, kinds: kind.isEmpty ? nil : kind.map(\.rawValue))
        try daemon.ask { client in
            try client.follow(Monitor.name, parameters, returning: Monitor.Reply.self) { reply in
                daemon.answered()
                if !hasBegun { options.note("watching") }
                hasBegun = true
                if reply.lost > lost {
                    options.note("left out \(HumanText.plural(reply.lost - lost, "event")) that came too fast")
                }
                lost = reply.lost
                for event in reply.events {
                    try output.write(line: options.json ? JSONLine.bytes(event) : Array(EventText.line(event).utf8))
                }
                try output.flush()
                if reply.restarts == false { throw Failure.stopped }
            }
        }
    }
}
