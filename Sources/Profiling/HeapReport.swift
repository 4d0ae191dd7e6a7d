internal import CLinux

/// The memory of the allocator.
package struct HeapReport: Sendable, Hashable {
    /// The bytes of heaps, taken from the system.
    package let takenBytes: Int
    /// The bytes of these that are in use.
    package let usedBytes: Int
    /// The bytes of large blocks that are mapped separately.
    package let mappedBytes: Int

    /// The current values.
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
