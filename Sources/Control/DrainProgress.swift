/// The progress of a drain.
package struct DrainProgress: Codable, Sendable, Hashable {
    /// The time at which the drain began: RFC 3339, UTC, milliseconds.
    package var startedAt: String
    /// The number of connections when the drain began.
    package var connectionsAtStart: Int
    /// The number of connections left.
    package var connectionsLeft: Int
    /// Seconds until the remaining connections are cut.
    package var secondsLeft: Double

    /// A drain at one moment.
    package init(startedAt: String, connectionsAtStart: Int, connectionsLeft: Int, secondsLeft: Double) {
        self.startedAt = startedAt
        self.connectionsAtStart = connectionsAtStart
        self.connectionsLeft = connectionsLeft
        self.secondsLeft = secondsLeft
    }
}
