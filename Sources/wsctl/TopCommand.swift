import ArgumentParser
import Control
import Glibc
import Operations
import Terminal

extension ConnectionOrder: ExpressibleByArgument {}

/// `wsctl top`: shows the hub, its busiest channels and its slowest connections, and refreshes them.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch the hub: rates, queues, the busiest channels, the slowest connections.",
        discussion: """
            KEYS
              q  quit                   space  refresh now
              Q  order by bytes queued  D  by messages dropped     L  by idle time
              i  by messages in         o  by messages out
              I  by bytes in            O  by bytes out
              +  refresh less often     -  refresh more often      ?  show these keys

            If standard input or output is not a terminal, or TERM is dumb, each refresh is printed after the previous \
            one. Rates are measured over the interval before a refresh, so the first refresh comes after one interval, \
            except with --json.

            When the daemon is restarted, or crashes, the command goes on with the next process.

            EXAMPLES
              wsctl top
              wsctl top --order messagesIn --interval 0.5
              wsctl top --count 1 --json | jq .channels
            """ + ExitStatus.help)

    @Option(help: "The order of the connections, the largest value first.")
    var order = ConnectionOrder.queuedBytes

    @Option(help: ArgumentHelp("Seconds between two refreshes, 0.1 to 60.", valueName: "seconds"))
    var interval = 1.0

    @Option(help: ArgumentHelp("Exit after this many refreshes.", valueName: "n"))
    var count: Int?

    @OptionGroup var watch: WatchOptions
    @OptionGroup var options: GlobalOptions

    func validate() throws {
        guard (0.1...60).contains(interval) else { throw ValidationError("--interval \(interval): take 0.1 to 60") }
        if let count, count < 1 { throw ValidationError("--count \(count): take 1 or more") }
    }

    func run() throws {
        let daemon = try WatchedDaemon(options, watch)
        if !options.json, let screen = TerminalScreen() {
            try show(daemon, on: screen)
        } else {
            try printLooks(daemon)
        }
    }

    private func look(
        _ daemon: WatchedDaemon, _ order: ConnectionOrder, connections: Int, channels: Int
    ) throws -> Top.Reply {
        let parameters = Top.Parameters(
            order: order, connections: min(connections, Top.limit), channels: min(channels, Top.limit))
        let reply = try daemon.ask { try $0.call(Top.name, parameters, returning: Top.Reply.self) }
        daemon.answered()
        daemon.isStopping = reply.status.state != .running
        return reply
    }

    private func printLooks(_ daemon: WatchedDaemon) throws {
        var left = count ?? Int.max
        var previous: Top.Reply?
        // Rates need two replies; a JSON object has no rates.
        if !options.json {
            previous = try look(daemon, order, connections: 0, channels: 0)
            usleep(useconds_t(interval * 1e6))
        }
        while true {
            let reply = try look(daemon, order, connections: 10, channels: 10)
            if options.json {
                try Output.standard.write(line: JSONLine.bytes(reply))
            } else {
                if previous?.status.pid != reply.status.pid { previous = nil }
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

    private func show(_ daemon: WatchedDaemon, on screen: TerminalScreen) throws {
        daemon.prepare = { client in client.wait { screen.wait(for: $0, seconds: $1) } }
        daemon.prepare(daemon.client)
        daemon.pause = { screen.pause(milliseconds: $0) }
        daemon.tell = { try? screen.show([$0]) }
        // The client and the screen would retain each other otherwise, and the terminal is restored when the screen is
        // released.
        defer {
            daemon.prepare = { $0.wait(with: nil) }
            daemon.prepare(daemon.client)
            daemon.pause = { _ in false }
            daemon.tell = { _ in }
        }
        var view = TopView(order: order, interval: interval)
        var previous: Top.Reply?
        // The last refresh stays on the screen and needs rates, which take two replies.
        var left = max(2, count ?? Int.max)
        while true {
            let size = screen.size
            let reply: Top.Reply
            do {
                reply = try look(daemon, view.order, connections: size.lines, channels: size.lines)
            } catch {
                if screen.hasEnded { return }
                // The error is printed on the normal screen, where it stays.
                screen.leave()
                throw error
            }
            // Another process may count anew.
            if previous?.status.pid != reply.status.pid { previous = nil }
            let text = TopText(reply: reply, previous: previous, order: view.order)
            let hasColor = Output.standard.hasColor
            let lines = text.lines(columns: size.columns, lines: size.lines, hasColor: hasColor, hasKeys: view.hasKeys)
            try screen.show(lines)
            previous = reply
            left -= 1
            guard left > 0 else {
                screen.leave()
                for line in lines { try Output.standard.write(line: line) }
                return
            }
            guard waitForNext(&view, screen) else { return }
        }
    }

    /// Waits until the next refresh is due or requested; false if the program has to end.
    private func waitForNext(_ view: inout TopView, _ screen: TerminalScreen) -> Bool {
        var time = Int32(view.interval * 1000)
        while true {
            switch screen.wait(milliseconds: time) {
            case .end: return false
            case .nothing, .redraw: return true
            case .key(UInt8(ascii: "q")): return false
            // All keys that were typed are handled before the next refresh.
            case .key(let key):
                view.press(key)
                time = 0
            }
        }
    }
}
