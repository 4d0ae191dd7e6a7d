/// The measured part of a run, from its first sample to its last.
struct Measurement: Sendable {
    var start: Sample
    var end: Sample

    var seconds: Double { Double(end.time - start.time) / 1e9 }
    var ownSeconds: Double { end.ownSeconds - start.ownSeconds }

    /// CPU seconds of the server; nil without --pid.
    var serverSeconds: Double? {
        guard let before = start.server, let after = end.server else { return nil }
        return after.cpuSeconds - before.cpuSeconds
    }

    /// The load of the busiest load thread, in percent of a core.
    var busyPercent: Double {
        let spent = zip(end.threadSeconds, start.threadSeconds).map { $0 - $1 }.max() ?? 0
        return seconds > 0 ? spent / seconds * 100 : 0
    }
}
