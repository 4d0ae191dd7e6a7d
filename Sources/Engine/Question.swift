/// What a member wants to know of a channel, from its home.
struct Question: Sendable {
    enum Subject: Sendable {
        case presence
        /// - Parameters:
        ///   - before: only messages with a smaller number; nil: the newest.
        ///   - limit: at most so many.
        case history(before: UInt64?, limit: Int)
    }

    var subject: Subject
    var connection: ConnectionID
    /// The request's id as it came.
    var id: [UInt8]
}
