/// How many connections a message of a batch goes to.
struct Reached: Sendable {
    /// The message's place in the batch.
    var index: Int
    var connections: Int
}

/// Whom to tell how many connections a message goes to.
struct Receipt: Sendable {
    let gather: Gather<Reached>
    let index: Int

    func answer(_ connections: Int) { gather.answer(Reached(index: index, connections: connections)) }
}
