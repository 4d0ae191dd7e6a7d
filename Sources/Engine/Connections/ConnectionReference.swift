/// A name for a connection within this process, valid until it ends: its worker, its slot, and the slot's generation, so
/// that an old reference never means a newer connection.
package struct ConnectionReference: Hashable, Sendable {
    var worker: UInt16
    var slot: UInt32
    var generation: UInt32

    init(worker: UInt16, slot: UInt32, generation: UInt32) {
        self.worker = worker
        self.slot = slot
        self.generation = generation
    }
}
