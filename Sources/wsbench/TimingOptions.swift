import ArgumentParser

/// How long the modes that publish take.
struct TimingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How long is measured.", valueName: "time"))
    var duration = TimeSpan(seconds: 10)

    @Option(help: ArgumentHelp("How long is published before that, unmeasured.", valueName: "time"))
    var warmup = TimeSpan(seconds: 2)

    @Option(
        help: ArgumentHelp("Messages a second in all, sent on schedule (open loop).", valueName: "count"))
    var rate: ConnectRate?

    func validate() throws {
        guard duration.nanoseconds > 0 else { throw ValidationError("--duration 0: there is nothing to measure") }
        if let rate, rate.perSecond <= 0 { throw ValidationError("--rate 0: leave it out for the closed loop") }
    }
}
