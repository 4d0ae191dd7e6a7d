/// The outcome of a run.
struct Outcome: Sendable {
    let plan: Plan
    var tally: Tally
    /// The time at which the first connection began to open, in a storm the first of the storm; nanoseconds of
    /// CLOCK_MONOTONIC.
    var openingStart: UInt64 = 0
    /// The server's CPU seconds for opening the connections; nil without --pid.
    var openingServerSeconds: Double?
    var measurement: Measurement?
    var memory = Memory()
    /// Whether SIGINT or SIGTERM ended the run early.
    var wasInterrupted = false

    init(plan: Plan) {
        self.plan = plan
        tally = Tally(plan: plan, results: [])
    }
}
