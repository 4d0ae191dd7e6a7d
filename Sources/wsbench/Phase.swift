/// What the threads of a run are to do; each phase comes once, in this order, and some are left out.
enum Phase: UInt8, Comparable {
    /// Open the connections.
    case opening
    /// Hold them, answer pings.
    case holding
    /// Publish.
    case running
    /// Publish, and open the connections of the storm.
    case storming
    /// Receive what is outstanding.
    case draining
    /// Read what the stalled connections have left unread.
    case readingStalled
    /// Close them all.
    case closing
    /// End the thread.
    case stopping

    /// Whether publishers send.
    var isPublishing: Bool { self == .running || self == .storming }

    static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
}
