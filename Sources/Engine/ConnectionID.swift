/// The id of a connection, valid as long as the process lives: its worker, its slot, and the slot's generation, so that
/// an old id never refers to a newer connection.
package struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
    package var worker: UInt16
    package var slot: UInt32
    package var generation: UInt32

    package init(worker: UInt16, slot: UInt32, generation: UInt32) {
        self.worker = worker
        self.slot = slot
        self.generation = generation
    }

    /// Parses `WORKER.SLOT.GENERATION`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let worker = UInt16(parts[0]), let slot = UInt32(parts[1]),
            let generation = UInt32(parts[2])
        else { return nil }
        self.init(worker: worker, slot: slot, generation: generation)
    }

    package var description: String { "\(worker).\(slot).\(generation)" }
}
