import Glibc

/// Bytes that wait: copied when they come, freed when none is left. It takes 16 bytes while it is empty.
///
/// Invariant: `start <= end`, and `base` owns `end` bytes (nil while that is 0).
struct ByteStore: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var start: UInt32 = 0
    private var end: UInt32 = 0

    deinit { base?.deallocate() }

    var isEmpty: Bool { start == end }
    var count: Int { Int(end - start) }

    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base.map { $0 + Int(start) }, count: count)
    }

    /// Keeps a copy of these bytes, which are not its own, instead of what it has.
    mutating func replace(with bytes: UnsafeRawBufferPointer) {
        base?.deallocate()
        base = nil
        (start, end) = (0, 0)
        append(bytes)
    }

    /// Appends a copy of these bytes, which are not its own.
    mutating func append(_ more: UnsafeRawBufferPointer) {
        guard let source = more.baseAddress, !more.isEmpty else { return }
        let total = count + more.count
        let copy = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 1)
        if let base { copy.copyMemory(from: base + Int(start), byteCount: count) }
        (copy + count).copyMemory(from: source, byteCount: more.count)
        base?.deallocate()
        base = copy
        (start, end) = (0, UInt32(clamping: total))
    }

    /// Removes bytes from the front.
    mutating func drop(_ count: Int) {
        start += UInt32(clamping: min(count, self.count))
        if isEmpty { replace(with: UnsafeRawBufferPointer(start: nil, count: 0)) }
    }
}
