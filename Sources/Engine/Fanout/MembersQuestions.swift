/// The questions about users that a broker is answering for one worker, by token. Tokens grow, so the oldest question is
/// the one with the smallest.
struct MembersQuestions {
    /// A question, and the time at which it was asked, in nanoseconds of the monotonic clock.
    struct Open {
        var channel: String
        var subject: Subject
        var since: UInt64
    }

    enum Subject {
        case question(Question)
        case inspect(ChannelSnapshot, ChannelInspection)
    }

    private var open: [UInt64: Open] = [:]
    private var oldest: UInt64 = 1
    private var lastToken: UInt64 = 0

    var count: Int { open.count }

    /// Keeps a question, and returns its token.
    mutating func add(_ question: Open) -> UInt64 {
        lastToken += 1
        open[lastToken] = question
        return lastToken
    }

    /// Takes the question with a token; nil if it has been taken.
    mutating func take(_ token: UInt64) -> Open? { open.removeValue(forKey: token) }

    /// Takes the questions that were asked at a time or before.
    mutating func take(since time: UInt64) -> [Open] {
        var taken: [Open] = []
        while let question = first, question.since <= time {
            open[oldest] = nil
            taken.append(question)
        }
        return taken
    }

    /// The oldest question.
    var first: Open? {
        mutating get {
            while oldest <= lastToken {
                if let question = open[oldest] { return question }
                oldest += 1
            }
            return nil
        }
    }
}
