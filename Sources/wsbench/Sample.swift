import CLinux
import Glibc

/// The resources that generator and server had used at one moment.
struct Sample: Sendable {
    var time = clinux_monotonic_nanoseconds()
    /// CPU seconds of this process.
    var ownSeconds: Double
    /// CPU seconds of each of its load threads.
    var threadSeconds: [Double]
    var server: ProcessUsage?

    init(threads: [LoadThread], server pid: Int32?) {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        ownSeconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)
        threadSeconds = threads.map(\.cpuSeconds)
        server = pid.flatMap(ProcessUsage.ofTree)
    }
}
