/// The memory that the hub holds for its clients, in bytes.
package struct MemoryStatus: Codable, Sendable, Hashable {
    /// The limit; 0 if there is none.
    package var limit: Int
    /// The total in use.
    package var used: Int
    /// The part for unfinished messages from clients and for handshakes in progress.
    package var input: Int
    /// The part for messages on their way from one worker to another.
    package var mailboxes: Int
    /// The part for messages that wait for slow clients.
    package var backlogs: Int
    /// The part for the history of channels, including the channels themselves.
    package var history: Int

    /// The memory in use at one moment.
    package init(
        limit: Int = 0, used: Int = 0, input: Int = 0, mailboxes: Int = 0, backlogs: Int = 0,
        history: Int = 0
    ) {
        self.limit = limit
        self.used = used
        self.input = input
        self.mailboxes = mailboxes
        self.backlogs = backlogs
        self.history = history
    }
}
