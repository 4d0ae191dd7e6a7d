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
