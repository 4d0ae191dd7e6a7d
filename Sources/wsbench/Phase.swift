/// The phases of a run, which tell the threads what to do; each phase comes once, in this order, and some are left out.
enum Phase: UInt8, Comparable {
    /// Open the connections.
    case opening
    /// Hold the connections, and answer pings.
    case holding
    /// Publish.
    case running
    /// Publish, and open the connections of the storm.
    case storming
    /// Receive the outstanding messages.
    case draining
    /// Read the data that the stalled connections left unread.
    case readingStalled
    /// Close all connections.
    case closing
    /// End the thread.
    case stopping

    /// Whether publishers send.
    var isPublishing: Bool { self == .running || self == .storming }

    static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
}
