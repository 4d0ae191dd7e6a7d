import ArgumentParser

/// `wsbench storm`: all clients connect at once.
struct StormCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm",
        abstract: "Open connections as fast as possible.",
        discussion: """
            Each connection does the handshake; with --reconnect it is then closed and opened again, the given number \
            of times. --probe clients connect before the storm and send a ping each hundredth of a second: their \
            latency before and during the storm shows whether connected clients starve.

            EXAMPLES
              wsbench storm -n 10000 ws://127.0.0.1:8080/ws
              wsbench storm -n 2000 --reconnect 5 --probe 10 --handshakes 2000 ws://127.0.0.1:8080/ws
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("How often each connection is closed and opened again.", valueName: "count"))
    var reconnect = 0

    @Option(
        help: ArgumentHelp("The number of clients that connect before the storm and send pings.", valueName: "count"))
    var probe = 0

    @Option(help: ArgumentHelp("How long the probes send pings before the storm.", valueName: "time"))
    var baseline = TimeSpan(seconds: 1)

    /// Pings per second of each probe.
    static let probeRate = 100.0

    func validate() throws {
        guard 0...1_000_000 ~= reconnect else { throw ValidationError("--reconnect \(reconnect): 0 to 1000000") }
        guard 0...10_000 ~= probe else { throw ValidationError("--probe \(probe): 0 to 10000") }
    }

    func run() throws {
        var plan = try common.plan(connectionCount: common.connections + probe)
        plan.isStorm = true
        plan.publisherCount = probe
        plan.reconnectCount = reconnect
        plan.audience = .own
        plan.traffic = .ping
        plan.messageByteCount = Stamp.byteCount
        plan.rate = probe > 0 ? Self.probeRate * Double(probe) : nil
        try common.run(.storm, plan, .storm(baseline: baseline))
    }
}
