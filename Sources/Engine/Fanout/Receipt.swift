/// The result of publishing a message.
package struct Published: Sendable, Equatable {
    /// The number of connections that the message goes to.
    package var connections: Int
    /// The message's position, if the channel keeps history and the message is text.
    package var position: MessagePosition?
}

/// A message's position in a channel.
package struct MessagePosition: Sendable, Equatable {
    /// The identifier of the numbering, which changes when that begins anew.
    package var epoch: String
    package var seq: UInt64
}

/// The result of publishing a message of a batch, as seen by one worker.
struct Reached: Sendable {
    /// The message's index in the batch.
    var index: Int
    var connections: Int
    var position: MessagePosition?
}

/// The receipt for an operator's or backend's message: the task to tell how many connections the message goes to.
struct Receipt: Sendable {
    let replies: Replies<Reached>
    let index: Int
    /// The message's position; set at the channel's home.
    var position: MessagePosition?

    init(replies: Replies<Reached>, index: Int) {
        self.replies = replies
        self.index = index
    }

    func answer(_ connections: Int) {
        replies.answer(Reached(index: index, connections: connections, position: position))
    }
}
