import ArgumentParser

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
