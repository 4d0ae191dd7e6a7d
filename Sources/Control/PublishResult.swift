/// What became of a message that was published; the answer of the HTTP API, too.
package struct PublishResult: Sendable, Hashable, Encodable {
    /// To how many connections it goes.
    package var recipients: Int
    /// Its place in the channel, from which a client can recover: the numbering, and its number there. Nil where the channel
    /// keeps no history or the message is no text.
    package var epoch: String?
    package var seq: Int?

    /// What became of a message.
    package init(recipients: Int, epoch: String? = nil, seq: Int? = nil) {
        self.recipients = recipients
        self.epoch = epoch
        self.seq = seq
    }
}
