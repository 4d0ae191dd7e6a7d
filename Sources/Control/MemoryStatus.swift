/// What the hub holds for its clients, in bytes.
package struct MemoryStatus: Codable, Sendable, Hashable {
    /// The most that it holds; 0 where nothing bounds it.
    package var limit: Int
    /// All that it holds now.
    package var used: Int
    /// Of that, input whose message is unfinished, and handshakes that are under way.
    package var input: Int
    /// Messages on their way from one worker to another.
    package var mailboxes: Int
    /// Answers to requests that have not been sent.
    package var answers: Int
    /// What waits for slow clients.
    package var backlogs: Int
    /// The history of channels, the channels themselves included.
    package var history: Int

    /// The account at one moment.
    package init(
        limit: Int = 0, used: Int = 0, input: Int = 0, mailboxes: Int = 0, answers: Int = 0, backlogs: Int = 0,
        history: Int = 0
    ) {
        self.limit = limit
        self.used = used
        self.input = input
        self.mailboxes = mailboxes
        self.answers = answers
        self.backlogs = backlogs
        self.history = history
    }
}
