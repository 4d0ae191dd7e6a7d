/// How far a drain is.
package struct DrainProgress: Codable, Sendable, Hashable {
    /// When it began: RFC 3339, UTC, milliseconds.
    package var startedAt: String
    /// Connections there were when it began.
    package var connectionsAtStart: Int
    /// Connections still there.
    package var connectionsLeft: Int
    /// Seconds until those still there are cut off.
    package var secondsLeft: Double

    /// A drain at one moment.
    package init(startedAt: String, connectionsAtStart: Int, connectionsLeft: Int, secondsLeft: Double) {
        self.startedAt = startedAt
        self.connectionsAtStart = connectionsAtStart
        self.connectionsLeft = connectionsLeft
        self.secondsLeft = secondsLeft
    }
}
