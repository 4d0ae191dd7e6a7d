import WebSocket

/// The input of a worker: its read buffer, the work that a turn may do, and the connections that wait.
final class Ingress {
    /// The buffer for every read.
    var buffer: UnsafeMutableRawBufferPointer
    /// The shared input state of all connections that are between messages.
    var idleInput = Boxed(PartialInput())
    var inflater = Inflater()

    /// The work that the turn has done so far, in bytes: input, after inflating, answers, and other work of the same
    /// duration.
    var work = 0
    /// The connections that continue with input that they hold, by their tags.
    var runnable: ContiguousArray<UInt64> = []
    /// The connections that are closed at the turn's end, by their tags.
    var endingSoon: [(tag: UInt64, cause: CloseCause, code: CloseCode, reason: String)] = []

    /// The connections that wait until a mailbox has room, by their tags.
    var congested: ContiguousArray<UInt64> = []
    /// Other workers whose mailbox was full when this one last looked, a bit each.
    var fullMailboxes: UInt64 = 0

    /// The checks of tokens that are under way for clients of this worker.
    var tokenChecks = TokenChecks()

    /// The memory pressure at the beginning of the turn.
    var pressure = MemoryAccount.Pressure.none
    /// The connections that wait until less memory is held for clients, by their tags.
    var starved: ContiguousArray<UInt64> = []
    /// Since when connections wait for memory, or those that held most were closed; nanoseconds of the worker's clock.
    var starvedSince: UInt64?

    init(bufferByteCount: Int) {
        buffer = .allocate(byteCount: bufferByteCount, alignment: 64)
    }

    deinit {
        buffer.deallocate()
        idleInput.free()
    }

    /// Makes the buffer larger, if it is smaller than this.
    func reserve(bufferByteCount: Int) {
        guard bufferByteCount > buffer.count else { return }
        buffer.deallocate()
        buffer = .allocate(byteCount: bufferByteCount, alignment: 64)
    }
}
