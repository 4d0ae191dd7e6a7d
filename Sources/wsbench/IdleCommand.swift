import ArgumentParser

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
