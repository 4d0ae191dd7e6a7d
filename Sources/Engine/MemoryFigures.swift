/// What is held for clients, in bytes: the account that `limits.memory` bounds. Of one worker, or of several together.
package struct MemoryFigures: Sendable, Hashable {
    /// The most that may be held; 0 where nothing bounds it.
    package var limit = 0
    /// All that is held: the kinds below, and what is none of them.
    package var used = 0
    /// Input whose message is unfinished, and handshakes that are under way.
    package var input = 0
    /// Messages on their way from one worker to another.
    package var mailboxes = 0
    /// Answers to requests that have not been sent.
    package var answers = 0
    /// What waits for slow connections.
    package var backlogs = 0
    /// The history of channels, the channels themselves included.
    package var history = 0

    package init() {}

    /// What is held and of none of the kinds.
    package var other: Int { max(0, used - input - mailboxes - answers - backlogs - history) }

    /// Adds another worker's figures.
    package static func += (total: inout MemoryFigures, other: MemoryFigures) {
        total.limit += other.limit
        total.used += other.used
        total.input += other.input
        total.mailboxes += other.mailboxes
        total.answers += other.answers
        total.backlogs += other.backlogs
        total.history += other.history
    }
}
