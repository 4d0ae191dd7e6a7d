import ArgumentParser

/// The duration and rate of the modes that publish.
struct TimingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The duration of the measurement.", valueName: "time"))
    var duration = TimeSpan(seconds: 10)

    @Option(help: ArgumentHelp("The time of publishing before the measurement.", valueName: "time"))
    var warmup = TimeSpan(seconds: 2)

    @Option(
        help: ArgumentHelp("Open loop: messages per second in all, sent on schedule.", valueName: "count"))
    var rate: ConnectRate?

    func validate() throws {
        guard duration.nanoseconds > 0 else { throw ValidationError("--duration 0: there is nothing to measure") }
        if let rate, rate.perSecond <= 0 { throw ValidationError("--rate 0: leave it out for the closed loop") }
    }
}
