import Glibc

/// The bytes of one message while it is being put together from fragments or partial reads.
///
/// Invariant: `count <= capacity`, and `base` owns `capacity` bytes (nil while capacity is 0). It grows with what
/// has really arrived, never with what a frame header announces.
struct MessageBuffer: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer?
    private(set) var count = 0
    private(set) var capacity = 0

    deinit { free(base) }

    var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }

    /// Appends a copy; `expected` is the size the whole may reach, a hint that keeps the last step exact.
    mutating func append(_ more: UnsafeRawBufferPointer, expected: Int) {
        guard let source = more.baseAddress, more.count > 0 else { return }
        let needed = count + more.count
        if needed > capacity {
            var size = max(needed, capacity * 2, 512)
            if expected >= needed { size = min(size, expected) }
            base = realloc(base, size)
            precondition(base != nil, "out of memory")
            capacity = size
        }
        (base! + count).copyMemory(from: source, byteCount: more.count)
        count = needed
    }

    /// Gives the memory back.
    mutating func reset() {
        free(base)
        base = nil
        count = 0
        capacity = 0
    }
}
