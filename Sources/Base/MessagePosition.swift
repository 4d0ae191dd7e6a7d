/// The place of a message in the order of its channel.
package struct MessagePosition: Sendable, Hashable {
    /// The identifier of the numbering, which changes when that begins anew.
    package var epoch: String
    package var seq: UInt64

    package init(epoch: String, seq: UInt64) {
        self.epoch = epoch
        self.seq = seq
    }
}
