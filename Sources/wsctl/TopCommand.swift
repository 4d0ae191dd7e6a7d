import ArgumentParser
import Control
import Glibc
import Terminal

extension Top.Order: ExpressibleByArgument {}

/// `wsctl top`: the hub, its busiest channels and its slowest connections, again and again.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch the hub: rates, queues, the busiest channels, the slowest connections.",
        discussion: """
            KEYS
              q  end                    space  look again now
              Q  order by what waits    D  by messages dropped     L  by how long idle
              i  by messages in         o  by messages out
              I  by bytes in            O  by bytes out
              +  look less often        -  look more often

            Where standard output is no terminal, each look is printed behind the one before.

            EXAMPLES
              wsctl top
              wsctl top --order messagesIn --interval 0.5
              wsctl top --count 1 --json | jq .channels
            """)

    @Option(help: "What connections are put in order by, the most first.")
    var order = Top.Order.queuedBytes

    @Option(help: ArgumentHelp("Seconds between two looks, 0.1 to 60.", valueName: "seconds"))
    var interval = 1.0

    @Option(help: ArgumentHelp("End after so many looks.", valueName: "n"))
    var count: Int?

    @OptionGroup var options: GlobalOptions

    func validate() throws {
        guard (0.1...60).contains(interval) else { throw ValidationError("--interval \(interval): take 0.1 to 60") }
        if let count, count < 1 { throw ValidationError("--count \(count): take 1 or more") }
    }

    func run() throws {
        let client = try DaemonClient.forLooking(options)
        if !options.json, let screen = TerminalScreen() {
            try watch(client, screen)
        } else {
            try printLooks(client)
        }
    }

    private func look(_ client: DaemonClient, _ order: Top.Order, connections: Int, channels: Int) throws -> Top.Reply {
        try client.call(
            Top.name,
            Top.Parameters(
                order: order, connections: min(connections, Top.limit), channels: min(channels, Top.limit)),
            returning: Top.Reply.self)
    }

    private func printLooks(_ client: DaemonClient) throws {
        var previous: Top.Reply?
        var left = count ?? Int.max
        while true {
            let reply = try look(client, order, connections: 10, channels: 10)
            if options.json {
                try Output.standard.write(line: JSONLine.bytes(reply))
            } else {
                let text = TopText(reply: reply, previous: previous, order: order)
                let columns = Output.standard.terminalWidth ?? 200
                for line in text.lines(columns: columns, lines: 40, hasColor: false) {
                    try Output.standard.write(line: line)
                }
                try Output.standard.write(line: "")
            }
            try Output.standard.flush()
            previous = reply
            left -= 1
            guard left > 0 else { return }
            usleep(useconds_t(interval * 1e6))
        }
    }

    private func watch(_ client: DaemonClient, _ screen: TerminalScreen) throws {
        var order = order
        var interval = interval
        var previous: Top.Reply?
        var left = count ?? Int.max
        while true {
            let size = screen.size
            let reply = try look(client, order, connections: size.lines, channels: size.lines)
            let text = TopText(reply: reply, previous: previous, order: order)
            try screen.show(
                text.lines(columns: size.columns, lines: size.lines, hasColor: Output.standard.hasColor))
            previous = reply
            left -= 1
            guard left > 0 else { return }
            switch screen.wait(milliseconds: Int32(interval * 1000)) {
            case .end: return
            case .nothing, .redraw: break
            case .key(let key):
                switch Character(Unicode.Scalar(key)) {
                case "q": return
                case "Q": order = .queuedBytes
                case "D": order = .droppedMessages
                case "i": order = .messagesIn
                case "o": order = .messagesOut
                case "I": order = .bytesIn
                case "O": order = .bytesOut
                case "L": order = .idle
                case "+": interval = min(60, interval * 2)
                case "-": interval = max(0.1, interval / 2)
                default: break
                }
            }
        }
    }
}
