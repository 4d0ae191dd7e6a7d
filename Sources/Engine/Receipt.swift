/// How many connections a message of a batch goes to.
struct Reached: Sendable {
    /// The message's place in the batch.
    var index: Int
    var connections: Int
}

/// An operator's or backend's message: whom to tell how many connections it goes to.
struct Receipt: Sendable {
    let gather: Gather<Reached>
    let index: Int
    /// Whether clients of the `json` protocol get it as a string even where it looks like another JSON value.
    let isPlainText: Bool

    func answer(_ connections: Int) { gather.answer(Reached(index: index, connections: connections)) }
}
