import CLinux

extension Worker {
    /// The traffic in bytes after which the heap may hold a lot of free memory.
    private static let trimAfterByteCount: UInt64 = 4 * 1024 * 1024
    /// The traffic in bytes within `trimPause` below which memory is returned: under load it would be needed again at
    /// once.
    private static let quietByteCount: UInt64 = 1024 * 1024
    private static let trimPause: UInt64 = 1_000_000_000

    private var traffic: UInt64 { telemetry.statistics.bytesIn &+ telemetry.statistics.bytesOut }

    /// Returns memory that a burst has left free to the system, once it is quiet (malloc_trim(3)).
    func trimWhenQuiet() {
        guard let trimAt = telemetry.trimAt else {
            guard traffic &- telemetry.trafficSeen >= Worker.trimAfterByteCount else { return }
            telemetry.trimAt = nanoseconds + Worker.trimPause
            telemetry.trafficSeen = traffic
            return
        }
        guard nanoseconds >= trimAt else { return }
        let isQuiet = traffic &- telemetry.trafficSeen < Worker.quietByteCount
        if isQuiet { clinux_trim_heap() }
        telemetry.trimAt = isQuiet ? nil : nanoseconds + Worker.trimPause
        telemetry.trafficSeen = traffic
    }
}
