/// What a server says of a message that a consumer is given, in the subject that its acknowledgement goes to.
struct Delivery {
    /// How often the message has been given out.
    var count: UInt64
    /// The number in the stream.
    var seq: UInt64
    /// The number among all that the consumer was given.
    var place: UInt64
    /// The messages that are still to come.
    var pendingCount: UInt64

    /// Nil if the subject is another one: then the message is not the stream's, but what the server itself says.
    init?(_ reply: String) {
        let parts = reply.split(separator: ".", omittingEmptySubsequences: false)
        // Newer servers put a domain and an account before the name of the stream.
        let shift = parts.count >= 11 ? 2 : 0
        guard parts.count >= 9, let count = UInt64(parts[4 + shift]), let seq = UInt64(parts[5 + shift]),
            let place = UInt64(parts[6 + shift]), let pendingCount = UInt64(parts[8 + shift])
        else { return nil }
        self.count = count
        self.seq = seq
        self.place = place
        self.pendingCount = pendingCount
    }
}
