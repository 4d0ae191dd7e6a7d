import Glibc

/// Bytes that outlive the read that received them.
///
/// Invariant: `count <= capacity`, and `base` owns `capacity` bytes (nil while that is 0). The result of `bytes` is
/// valid until the next change.
struct KeptBytes: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private(set) var count = 0
    private var capacity = 0

    deinit { free(base) }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        guard let source = more.baseAddress, more.count > 0 else { return }
        if count + more.count > capacity {
            capacity = max(count + more.count, capacity * 2, 64)
            base = realloc(base, capacity)
            precondition(base != nil, "out of memory")
        }
        (base! + count).copyMemory(from: source, byteCount: more.count)
        count += more.count
    }

    /// Removes the first bytes.
    mutating func removeFirst(_ dropped: Int) {
        precondition(dropped <= count)
        count -= dropped
        if count > 0 { memmove(base!, base! + dropped, count) }
    }

    /// Removes the bytes, but keeps the memory.
    mutating func removeAll() { count = 0 }

    /// Removes the bytes and frees the memory.
    mutating func reset() {
        free(base)
        base = nil
        count = 0
        capacity = 0
    }
}
