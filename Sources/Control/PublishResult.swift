/// The result of publishing a message; the control socket and the HTTP API return it.
package struct PublishResult: Sendable, Hashable, Codable {
    /// The number of recipients.
    package var recipients: Int
    /// The message's position in the channel, from which a client can recover: the identifier of the numbering, and the
    /// number. Nil if the channel keeps no history or the message is binary.
    package var epoch: String?
    package var seq: Int?
    /// The names of the nodes that did not answer, and whose recipients are not counted; nil if no other node was asked.
    package var silent: [String]?

    /// The result of publishing a message.
    package init(recipients: Int, epoch: String? = nil, seq: Int? = nil, silent: [String]? = nil) {
        self.recipients = recipients
        self.epoch = epoch
        self.seq = seq
        self.silent = silent
    }
}
