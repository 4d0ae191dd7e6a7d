/// What has become of the connections at the restart by which this process began.
package struct RestartReport: Codable, Sendable, Hashable {
    /// The number of WebSockets that go on, and of handshakes.
    package var adopted: Int
    package var handshakes: Int
    /// The number of connections that were closed, because they could not be handed over or taken over.
    package var closed: Int
    /// The reason why nothing could be taken over; nil if it was.
    package var problem: String?
    /// Seconds from the last read of the process before to the first of this one; nil if that is not known.
    package var silentSeconds: Double?
    /// Of these, the seconds of each phase: `settle`, `write`, `start` and `adopt`.
    package var phases: [String: Double]

    /// A restart.
    package init(
        adopted: Int, handshakes: Int, closed: Int, problem: String? = nil, silentSeconds: Double? = nil,
        phases: [String: Double] = [:]
    ) {
        self.adopted = adopted
        self.handshakes = handshakes
        self.closed = closed
        self.problem = problem
        self.silentSeconds = silentSeconds
        self.phases = phases
    }
}

/// `PlanRestart`: says what a restart would do with the connections of this moment.
package enum PlanRestart {
    /// The method's name in its interface.
    package static let name = "PlanRestart"

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// Why connections can't be handed to the next process at all, so that a restart drains; nil if they can be.
        package var obstacle: String?
        /// The number of WebSockets that would go on, and of handshakes.
        package var kept: Int
        package var handshakes: Int
        /// The number of connections that would be closed, by reason.
        package var closed: [String: Int]
        /// The errors in the configuration on disk, with which no process would start; nil if there are none.
        package var errors: [String]?

        /// A plan as it is returned.
        package init(
            obstacle: String? = nil, kept: Int, handshakes: Int, closed: [String: Int], errors: [String]? = nil
        ) {
            self.obstacle = obstacle
            self.kept = kept
            self.handshakes = handshakes
            self.closed = closed
            self.errors = errors
        }
    }
}
