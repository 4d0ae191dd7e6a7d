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
    var connection: ConnectionReference
    /// The request's id as it was sent.
    var id: [UInt8]
}

/// A question that another worker is answering. A connection has one at most.
struct OpenQuestion {
    var channel: UInt32
    /// The request's id as it came.
    var id: [UInt8]
    /// Whether the connection has been taken out of the channel since: then the answer is not for it.
    var isRevoked = false
}
