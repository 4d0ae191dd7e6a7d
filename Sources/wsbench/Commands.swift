import ArgumentParser

/// `wsbench echo`: every connection receives its own messages.
struct EchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Send messages, and wait until each is back at its sender.",
        discussion: """
            Each connection sends a message and, when it is back, the next; with --rate it sends on schedule. Use an \
            endpoint where a client gets only its own messages: those of other clients are ignored, but cost time.

            EXAMPLES
              wsbench echo -n 1 ws://127.0.0.1:8080/ws
              wsbench echo -n 100 --rate 5000 ws://127.0.0.1:8080/echo
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var timing: TimingOptions

    func run() throws {
        var plan = try common.plan(connectionCount: common.connections)
        plan.publisherCount = common.connections
        plan.audience = .own
        plan.window = 1
        plan.rate = timing.rate?.perSecond
        try common.run(.echo, plan, .publish(warmup: timing.warmup, duration: timing.duration))
    }
}

/// `wsbench fanout`: a few connections publish, and all receive.
struct FanoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fanout",
        abstract: "Publish to many subscribers.",
        discussion: """
            The endpoint has to relay each message to all its clients, the sender included. Without --rate the loop \
            is closed: each publisher keeps --window messages in flight. With --rate it is open: messages are sent on \
            schedule, and latency counts from the time at which they were due.

            EXAMPLES
              wsbench fanout -n 1000 ws://127.0.0.1:8080/ws
              wsbench fanout -n 1000 --rate 200 --pid $(pidof wsd) ws://127.0.0.1:8080/ws
              wsbench fanout -n 5000 --receive-batch 64KiB ws://127.0.0.1:8080/ws
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var timing: TimingOptions

    @Option(help: ArgumentHelp("The number of publishers, in addition to the subscribers.", valueName: "count"))
    var publishers = 1

    @Option(help: ArgumentHelp("Closed loop: messages in flight per publisher.", valueName: "count"))
    var window = 16

    @Option(
        help: ArgumentHelp(
            "Subscribers read only when this much has arrived: saves CPU time, measures the publishers' latency only.",
            valueName: "size"))
    var receiveBatch: ByteCount?

    @Option(help: ArgumentHelp("The number of subscribers that stop reading after the handshake.", valueName: "count"))
    var stalled = 0

    func validate() throws {
        guard 1...100_000 ~= publishers else { throw ValidationError("--publishers \(publishers): 1 to 100000") }
        guard 1...1_000_000 ~= window else { throw ValidationError("--window \(window): 1 to 1000000") }
        guard 0...common.connections ~= stalled else {
            throw ValidationError("--stalled \(stalled): 0 to \(common.connections), the subscribers")
        }
        if let receiveBatch, !(1...(1 << 30) ~= receiveBatch.bytes) {
            throw ValidationError("--receive-batch \(receiveBatch.text): 1 to 1GiB")
        }
    }

    func run() throws {
        var plan = try common.plan(connectionCount: common.connections + publishers)
        plan.publisherCount = publishers
        plan.stalledCount = stalled
        plan.window = window
        plan.rate = timing.rate?.perSecond
        plan.receiveBatch = receiveBatch?.bytes
        try common.run(.fanout, plan, .publish(warmup: timing.warmup, duration: timing.duration))
    }
}

/// `wsbench idle`: many connections are held open without traffic.
struct IdleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "Hold connections, to measure the cost of one.",
        discussion: """
            Opens the connections, holds them, and answers pings. With --pid it reports the server's bytes per \
            connection; with --burst also how a few large messages change them, and how much memory is released \
            afterwards.

            EXAMPLES
              wsbench idle -n 10000 --pid $(pidof wsd) ws://127.0.0.1:8080/ws
              wsbench idle -n 2000 --burst 64KiBx20 --pid $(pidof wsd) ws://127.0.0.1:8080/ws
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("How long the connections are held.", valueName: "time"))
    var duration = TimeSpan(seconds: 10)

    @Option(
        help: ArgumentHelp("After that, one connection sends COUNT messages of this size.", valueName: "SIZExCOUNT"))
    var burst: Burst?

    @Option(help: ArgumentHelp("The time for memory to be released after the burst.", valueName: "time"))
    var pause = TimeSpan(seconds: 5)

    func validate() throws {
        if let burst, !(Stamp.byteCount...(64 << 20) ~= burst.size.bytes) {
            throw ValidationError("--burst \(burst.size.text)x\(burst.count): messages of 48 bytes to 64MiB")
        }
    }

    func run() throws {
        var plan = try common.plan(connectionCount: common.connections)
        if let burst {
            plan.publisherCount = 1
            plan.messageByteCount = burst.size.bytes
            plan.messageLimit = burst.count
            plan.window = 4
        }
        try common.run(.idle, plan, .hold(duration: duration, burst: burst, pause: pause))
    }
}

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
