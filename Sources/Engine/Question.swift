/// A member's query to a channel's home.
struct Question: Sendable {
    enum Subject: Sendable {
        case presence
        /// - Parameters:
        ///   - before: asks only for messages with a smaller number; nil: the newest.
        ///   - limit: the maximum number of messages.
        case history(before: UInt64?, limit: Int)
    }

    var subject: Subject
    var connection: ConnectionID
    /// The request's id as it was sent.
    var id: [UInt8]
}
