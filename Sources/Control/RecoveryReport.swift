/// The histories by which this process began, because the process before was killed.
package struct RecoveryReport: Codable, Sendable, Hashable {
    /// The number of channels that go on with what their snapshot has, and of the messages in it.
    package var channels: Int
    package var messages: Int
    /// The time of the snapshot; nil if it can't be read.
    package var takenAt: String?
    /// The reason why nothing could be taken over; nil if it was.
    package var problem: String?

    /// Histories that go on, or can't.
    package init(channels: Int, messages: Int, takenAt: String? = nil, problem: String? = nil) {
        self.channels = channels
        self.messages = messages
        self.takenAt = takenAt
        self.problem = problem
    }
}
