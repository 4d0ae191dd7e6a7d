import ArgumentParser

/// `wsbench idle`: many are there and say nothing.
struct IdleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "Hold connections, to see what one costs.",
        discussion: """
            Opens the connections, holds them, and answers pings. With --pid it tells the server's bytes per connection; \
            with --burst also what a few large messages do to them, and how much of that comes back.

            EXAMPLES
              wsbench idle -n 10000 --pid $(pidof wsd) ws://127.0.0.1:8080/ws
              wsbench idle -n 2000 --burst 64KiBx20 --pid $(pidof wsd) ws://127.0.0.1:8080/ws
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("How long they are held.", valueName: "time"))
    var duration = TimeSpan(seconds: 10)

    @Option(help: ArgumentHelp("Then one of them sends so many messages of that size.", valueName: "SIZExCOUNT"))
    var burst: Burst?

    @Option(help: ArgumentHelp("How long memory has to return after that.", valueName: "time"))
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
