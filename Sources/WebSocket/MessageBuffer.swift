import Glibc

/// The bytes of one message while it is assembled from fragments or partial reads.
///
/// Invariant: `count <= capacity`, and `base` owns `capacity` bytes (nil while capacity is 0). It grows with the bytes
/// that have arrived, never with the length that a frame header announces.
struct MessageBuffer: ~Copyable {
    private(set) var base: UnsafeMutableRawPointer?
    private(set) var count = 0
    private(set) var capacity = 0

    deinit { free(base) }

    var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }

    /// Appends a copy; `expected` is the size that the whole may reach, a hint that makes the last growth exact.
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

    /// Frees the memory.
    mutating func reset() {
        free(base)
        base = nil
        count = 0
        capacity = 0
    }
}
