import Base
import Channels
import WebSocket

/// The input state of a connection: an unfinished frame or message, and input that is read later because the connection
/// has to wait. It is owned by the connection's record; a connection between messages needs none.
struct PartialInput: ~Copyable {
    /// A whole message that came while it could not be processed.
    struct Deferred {
        var opcode: Opcode
        var payload: [UInt8]
    }

    var reader = FrameReader()
    /// A message that is processed before anything else is read.
    var deferred: Deferred?
    /// Input after it, to be read later.
    var held = HeldInput()

    /// The tick at which the unfinished message began; `Slab.never` between messages.
    var unfinishedSince = Slab.never
    /// The size that the account has counted.
    var counted = 0

    /// Whether there is nothing worth keeping.
    var isIdle: Bool { reader.isIdle && deferred == nil && held.isEmpty }

    /// The memory that it holds, in bytes.
    var byteCount: Int { reader.heldByteCount + (deferred?.payload.capacity ?? 0) + held.capacity }

    init() {}

    /// Writes the input. Ticks are written as their distance from `now`, because the next process has another clock.
    func write(to state: inout StateWriter, now: UInt32) {
        reader.write(to: &state)
        state.write(deferred != nil)
        if let deferred {
            state.write(byte: deferred.opcode.rawValue)
            state.write(deferred.payload)
        }
        state.write(UnsafeRawBufferPointer(held.bytes))
        state.write(unfinishedSince != Slab.never)
        if unfinishedSince != Slab.never { state.write(now &- unfinishedSince) }
    }

    /// Reads input; its memory is not counted yet.
    init(from state: inout StateReader, now: UInt32) throws(StateError) {
        reader = try FrameReader(from: &state)
        if try state.flag() {
            let opcode = Opcode(rawValue: try state.byte())
            guard let opcode, opcode == .text || opcode == .binary else { throw state.error("a message's opcode") }
            deferred = Deferred(opcode: opcode, payload: Array(try state.bytes()))
        }
        held.keep(copying: try state.bytes())
        if try state.flag() { unfinishedSince = now &- min(try state.number(), WorkerClock.firstTick - 1) }
    }
}

/// Input that is read later. It is copied once; reading moves the start.
///
/// Invariant: `start <= end <= capacity`, and `base` owns `capacity` bytes (nil while that is 0).
struct HeldInput: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private(set) var capacity = 0
    private var start = 0
    private var end = 0

    deinit { base?.deallocate() }

    var isEmpty: Bool { start == end }

    /// The bytes that are still to be read.
    var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base.map { $0 + start }, count: end - start)
    }

    /// Whether these bytes are part of this memory.
    func owns(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let base, let address = bytes.baseAddress else { return false }
        return address >= base && address <= base + capacity
    }

    /// Keeps only `rest`: the rest of its own bytes, or a copy of bytes from elsewhere.
    mutating func keep(_ rest: UnsafeMutableRawBufferPointer) {
        guard !rest.isEmpty, let source = rest.baseAddress else {
            release()
            return
        }
        if owns(rest) {
            start = end - rest.count
            return
        }
        keep(copying: UnsafeRawBufferPointer(start: source, count: rest.count))
    }

    /// Keeps a copy of these bytes, which are not its own, instead of what it has.
    mutating func keep(copying bytes: UnsafeRawBufferPointer) {
        release()
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 1)
        copy.copyMemory(from: source, byteCount: bytes.count)
        base = copy
        capacity = bytes.count
        end = bytes.count
    }

    /// Frees the memory.
    mutating func release() {
        base?.deallocate()
        base = nil
        capacity = 0
        start = 0
        end = 0
    }
}
