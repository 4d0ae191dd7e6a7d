/// What became of a message.
package struct Published: Sendable, Equatable {
    /// How many connections it goes to.
    package var connections: Int
    /// Its place in the channel, where that keeps history and it is text.
    package var position: MessagePosition?
}

/// A message's place in a channel.
package struct MessagePosition: Sendable, Equatable {
    /// Changes when the numbering begins anew.
    package var epoch: String
    package var seq: UInt64
}

/// What became of a message of a batch, as one worker sees it.
struct Reached: Sendable {
    /// The message's place in the batch.
    var index: Int
    var connections: Int
    var position: MessagePosition?
}

/// An operator's or backend's message: whom to tell how many connections it goes to.
struct Receipt: Sendable {
    let gather: Gather<Reached>
    let index: Int
    /// Set at the channel's home.
    var position: MessagePosition?

    init(gather: Gather<Reached>, index: Int) {
        self.gather = gather
        self.index = index
    }

    func answer(_ connections: Int) {
        gather.answer(Reached(index: index, connections: connections, position: position))
    }
}
