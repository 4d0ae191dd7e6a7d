internal import CLinux

/// What the allocator has.
package struct HeapReport: Sendable, Hashable {
    /// Bytes taken from the system in heaps.
    package let takenBytes: Int
    /// Bytes of these in use.
    package let usedBytes: Int
    /// Bytes of large blocks, each mapped by itself.
    package let mappedBytes: Int

    /// As it is now.
    package init() {
        var taken: UInt64 = 0
        var used: UInt64 = 0
        var mapped: UInt64 = 0
        clinux_heap_use(&taken, &used, &mapped)
        takenBytes = Int(clamping: taken)
        usedBytes = Int(clamping: used)
        mappedBytes = Int(clamping: mapped)
    }
}
