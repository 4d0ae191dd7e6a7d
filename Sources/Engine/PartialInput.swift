import WebSocket

/// What a connection is in the middle of: a frame or message that has not all come, and input that is to be read later
/// because the connection has to wait. Owned by the connection's record; one that is between messages needs none.
struct PartialInput: ~Copyable {
    /// A whole message that came while it could not be acted on.
    struct Deferred {
        var opcode: Opcode
        var payload: [UInt8]
    }

    var reader = FrameReader()
    /// A message that is acted on before anything else is read.
    var deferred: Deferred?
    /// Bytes behind it that came in the same read.
    var held = HeldInput()

    /// The tick at which the unfinished message began; `Slab.never` between messages.
    var unfinishedSince = Slab.never
    /// What the account has counted of it.
    var counted = 0

    /// Whether it holds nothing worth keeping.
    var isIdle: Bool { reader.isIdle && deferred == nil && held.isEmpty }

    /// What it takes, in bytes.
    var byteCount: Int { reader.heldByteCount + (deferred?.payload.capacity ?? 0) + held.capacity }
}

/// Bytes that came and are read later. They are copied once; what is read moves the start.
///
/// Invariant: `start <= end <= capacity`, and `base` owns `capacity` bytes (nil while that is 0).
struct HeldInput: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private(set) var capacity = 0
    private var start = 0
    private var end = 0

    deinit { base?.deallocate() }

    var isEmpty: Bool { start == end }

    /// The bytes that wait.
    var bytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: base.map { $0 + start }, count: end - start)
    }

    /// Whether these bytes lie in it.
    func owns(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let base, let address = bytes.baseAddress else { return false }
        return address >= base && address <= base + capacity
    }

    /// Keeps `rest`: the rest of what it has, or, where it is empty, bytes that came from elsewhere.
    mutating func keep(_ rest: UnsafeMutableRawBufferPointer) {
        guard !rest.isEmpty, let source = rest.baseAddress else {
            release()
            return
        }
        if owns(rest) {
            start = end - rest.count
            return
        }
        release()
        let copy = UnsafeMutableRawPointer.allocate(byteCount: rest.count, alignment: 1)
        copy.copyMemory(from: source, byteCount: rest.count)
        base = copy
        capacity = rest.count
        end = rest.count
    }

    /// Gives the memory back.
    mutating func release() {
        base?.deallocate()
        base = nil
        capacity = 0
        start = 0
        end = 0
    }
}
