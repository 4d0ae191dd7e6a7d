/// What a run gave.
struct Outcome: Sendable {
    let plan: Plan
    var tally: Tally
    /// When the connections began to be opened, in a storm those of the storm; nanoseconds of CLOCK_MONOTONIC.
    var openingStart: UInt64 = 0
    /// CPU seconds of the server for opening the connections; nil without --pid.
    var openingServerSeconds: Double?
    var measurement: Measurement?
    var memory = Memory()
    /// Whether SIGINT or SIGTERM ended it early.
    var wasInterrupted = false

    init(plan: Plan) {
        self.plan = plan
        tally = Tally(plan: plan, results: [])
    }
}
