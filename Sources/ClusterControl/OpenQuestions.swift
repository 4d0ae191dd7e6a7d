internal import Base

/// The questions that a node has asked and that are not answered by all. It only keeps the books; whoever asks waits at
/// its stream, which ends when nothing more can come.
struct OpenQuestions {
    /// An answer as it came.
    typealias Answers = AsyncStream<(node: NodeID, message: [UInt8])>

    private struct Open {
        /// The nodes that have not answered.
        var waiting: Set<NodeID>
        /// The nodes that are not waited for if all others have answered; with none left besides them, until the end.
        var mute: Set<NodeID>
        var answers: Answers.Continuation
    }

    private var open: [Int: Open] = [:]
    private var lastID = 0

    var count: Int { open.count }

    /// Begins a question to some nodes, and returns its number.
    ///
    /// - Parameter mute: the nodes among them that the question does not wait for after all others have answered.
    mutating func begin(to nodes: Set<NodeID>, mute: Set<NodeID>, _ answers: Answers.Continuation) -> Int {
        lastID += 1
        open[lastID] = Open(waiting: nodes, mute: nodes.isSubset(of: mute) ? [] : mute, answers: answers)
        return lastID
    }

    /// Takes an answer. False if nobody waits for it: the question is unknown or over, the node was not asked, or it has
    /// answered already.
    mutating func answer(_ id: Int, from node: NodeID, _ message: [UInt8]) -> Bool {
        guard open[id]?.waiting.remove(node) != nil, let question = open[id] else { return false }
        question.answers.yield((node, message))
        if question.waiting.isSubset(of: question.mute) {
            question.answers.finish()
            open[id] = nil
        }
        return true
    }

    /// Ends a question, whoever has not answered it.
    mutating func end(_ id: Int) { open.removeValue(forKey: id)?.answers.finish() }
}
